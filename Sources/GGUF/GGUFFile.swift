import Files
import LanguageModel

/// A GGUF file, mapped into memory and checked before anything of it is used.
///
/// The format (docs/gguf.md of ggml): `GGUF`, a version, the counts of tensors and of metadata; keys with typed values;
/// of each tensor its name, dimensions (the innermost first), type and offset; then, aligned, the data. All is
/// little-endian here; versions 2 and 3 are read.
public final class GGUFFile: Sendable {
  public let path: String
  /// In the order of the file.
  public let tensors: [GGUFTensor]
  /// Of the first part, where there are several.
  public let metadata: GGUFMetadata
  private let parts: [MappedFile]
  private let tensorOfName: [String.UTF8Bytes: Int]

  /// - Parameter path: a file, or any part of one that was split (`…-00001-of-00003.gguf`), beside which the others lie.
  /// - Throws: ``ModelError`` that names the file, the key or tensor, and the byte.
  public init(path: String) throws(ModelError) {
    self.path = path
    let given = try GGUFPart(path: path)
    let parts = try given.siblings()
    self.parts = parts.map(\.file)
    metadata = parts[0].metadata
    var tensors: [GGUFTensor] = []
    var places: [String.UTF8Bytes: Int] = [:]
    for (number, part) in parts.enumerated() {
      for var tensor in part.tensors {
        tensor.part = number
        guard places.updateValue(tensors.count, forKey: .init(tensor.name)) == nil else {
          throw ModelError(file: part.path, name: "tensor \(tensor.name)", "is in another part, too")
        }
        tensors.append(tensor)
      }
    }
    self.tensors = tensors
    tensorOfName = places
  }

  /// nil if there is none of this name.
  public func tensor(_ name: String) -> GGUFTensor? { tensorOfName[.init(name)].map { tensors[$0] } }

  /// A tensor's bytes; valid as long as this file is.
  func bytes(of tensor: GGUFTensor) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: parts[tensor.part].bytes[tensor.start..<tensor.start + tensor.byteCount])
  }

  /// The system need not keep a tensor's bytes in memory any longer.
  func forget(_ tensor: GGUFTensor) {
    parts[tensor.part].forget(tensor.start..<tensor.start + tensor.byteCount)
  }
}

/// Where a tensor lies in a GGUF file.
public struct GGUFTensor: Sendable {
  public let name: String
  /// As in PyTorch: rows first. The file has the dimensions the other way round.
  public let shape: [Int]
  /// Nil for one that cannot be read here; see `typeNumber`.
  public let type: GGUFTensorType?
  public let typeNumber: UInt32
  /// The file it lies in, where there are several.
  fileprivate(set) var part = 0
  /// Counted from the first byte of that file.
  let start: Int
  let byteCount: Int

  init(name: String, shape: [Int], typeNumber: UInt32, start: Int, byteCount: Int) {
    self.name = name
    self.shape = shape
    type = GGUFTensorType(rawValue: typeNumber)
    self.typeNumber = typeNumber
    self.start = start
    self.byteCount = byteCount
  }

  public var count: Int { shape.reduce(1, *) }
  /// Numbers in a row.
  public var rowLength: Int { shape.last ?? 1 }
  public var rowCount: Int { rowLength == 0 ? 0 : count / rowLength }
}

import JSON
import Kernels
import LanguageModel

/// Writes a model folder as a GGUF file, to run it in llama.cpp.
public struct GGUFModelWriter {
  /// How matrices are stored. Vectors are f32 always, as llama.cpp has them.
  public enum MatrixType: String, Sendable, CaseIterable {
    case f32, f16, bf16
    case q80 = "q8_0"
  }

  private let model: ModelFolder
  public var type: MatrixType
  /// What a user should know, in words.
  public private(set) var remarks: [String] = []
  private let metadata: [(key: String, value: GGUFEntry)]

  /// Numbers that are converted at a time.
  private static let pieceCount = 1 << 20

  /// - Throws: ``ModelError`` if the model or its tokenizer asks for something that llama.cpp does not compute.
  public init(model: ModelFolder) throws {
    self.model = model
    let matrices = model.configuration.tensors.filter { $0.shape.count == 2 }
    let stored = Set(try matrices.map { try model.weights.tensor($0.name).dtype })
    type = stored.contains(.f32) ? .f32 : stored.contains(.f16) ? .f16 : .bf16
    let config = try GGUFMetadataWriter(model: model)
    let tokenizer = try GGUFTokenizerWriter(model: model)
    metadata = config.entries + tokenizer.entries
    remarks = config.remarks + tokenizer.remarks
  }

  /// Writes the file, whole or not at all, a piece of a tensor at a time.
  ///
  /// - Parameter progress: hears of the bytes of weights that are written, and may end the work by an error.
  public func write(to path: String, progress: @escaping (_ written: Int, _ total: Int) throws -> Void) throws
  {
    var items = try model.configuration.tensors.map { try item($0) }
    items += GGUFMetadataWriter.ropeItems(model.configuration)
    let total = items.reduce(0) { $0 + $1.byteCount }
    var written = 0
    let counted = items.map { item in
      GGUFItem(name: item.name, shape: item.shape, type: item.type) { write in
        try item.content { bytes in
          try write(bytes)
          written += bytes.count
          try progress(written, total)
        }
      }
    }
    let fileType: GGUFEntry =
      switch type {
      case .f32: .uint32(0)
      case .f16: .uint32(1)
      case .q80: .uint32(7)
      case .bf16: .uint32(32)
      }
    try GGUFWriter.write(
      metadata: metadata + [("general.file_type", fileType), ("general.quantization_version", .uint32(2))],
      items: counted, to: path)
  }

  /// For a person.
  public var summary: String {
    let count = model.configuration.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    return "\(model.configuration.family.ggufArchitecture), \(count) parameters, matrices in \(type.rawValue)"
  }

  private func item(_ expected: ModelConfiguration.TensorShape) throws -> GGUFItem {
    guard let name = GGUFNames.name(ofTensor: expected.name) else {
      throw ModelError(file: model.path, name: "tensor \(expected.name)", "has no name in GGUF")
    }
    let stored = try model.weights.tensor(expected.name, shape: expected.shape)
    let rows = HeadRows(tensor: expected.name, configuration: model.configuration)
    let width = expected.shape.count == 1 ? 1 : expected.shape.last ?? 1
    let type = storedType(expected.shape)
    return GGUFItem(name: name, shape: expected.shape, type: type) { write in
      let height = stored.count / max(1, width)
      let step = max(1, Self.pieceCount / max(1, width))
      for start in stride(from: 0, to: height, by: step) {
        let piece = start..<min(start + step, height)
        var values: [Float] = []
        if rows.isIdentity {
          values = stored.floats(in: piece.lowerBound * width..<piece.upperBound * width)
        } else {
          for row in piece {
            let source = rows.place(inCheckpoint: row) * width
            values += stored.floats(in: source..<source + width)
          }
        }
        try Self.write(values, as: type, write)
      }
    }
  }

  private func storedType(_ shape: [Int]) -> GGUFTensorType {
    guard shape.count == 2 else { return .f32 }
    switch type {
    case .f32: return .f32
    case .f16: return .f16
    case .bf16: return .bf16
    case .q80: return (shape.last ?? 0) % GGUFTensorType.q80.blockCount == 0 ? .q80 : .f16
    }
  }

  private static func write(
    _ values: [Float], as type: GGUFTensorType, _ write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    switch type {
    case .bf16: try WrittenType.bf16.write(values, write)
    case .f16:
      let halves = values.map(\.halfBits.littleEndian)
      try halves.withUnsafeBytes { try write($0) }
    case .q80:
      let blocks = BlockEncoder.q80(values)
      try blocks.withUnsafeBytes { try write($0) }
    default: try WrittenType.f32.write(values, write)
    }
  }
}

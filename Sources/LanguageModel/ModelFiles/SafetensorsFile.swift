import Files
import JSON

/// A safetensors file, mapped into memory and checked before anything of it is used.
///
/// The format: a little-endian 64-bit header length (at most 100,000,000), a JSON header that starts with `{`
/// and gives `dtype`, `shape` and `data_offsets` of every tensor, then the data. The tensors cover the data
/// exactly: no gap, no overlap, nothing beyond the end; no name stands twice.
public final class SafetensorsFile: Sendable {
  public let path: String
  /// In ascending order of their UTF-8 bytes.
  public let names: [String]
  /// `__metadata__`, in the order of the file.
  public let metadata: [(key: String, value: String)]
  private let file: MappedFile
  private let entries: [String.UTF8Bytes: Entry]

  /// Where a tensor lies; `start` and `end` count from the first byte of the file.
  struct Entry: Sendable {
    let dtype: String
    let shape: [Int]
    let start: Int
    let end: Int
  }

  public init(path: String) throws(ModelError) {
    let file = try mappedFile(path)
    let header = try SafetensorsHeader(file: file)
    self.path = path
    self.file = file
    metadata = header.metadata
    names = header.entries.keys.map(\.text).sorted(by: utf8Ascending)
    entries = header.entries
  }

  /// - Throws: if there is no such tensor, or it is stored in a format that weights cannot have.
  public func tensor(_ name: String) throws(ModelError) -> StoredTensor {
    guard let entry = entries[.init(name)] else {
      throw ModelError(file: path, name: name, "there is no such tensor in this file")
    }
    guard let dtype = StoredType(rawValue: entry.dtype) else {
      throw ModelError(
        file: path, name: name,
        "is stored as \(entry.dtype), which is not supported; convert it to F32, BF16 or F16")
    }
    return StoredTensor(
      name: name, shape: entry.shape, dtype: dtype,
      bytes: UnsafeRawBufferPointer(rebasing: file.bytes[entry.start..<entry.end]), owner: file)
  }

  public func contains(_ name: String) -> Bool { entries[.init(name)] != nil }

  /// nil if there is no such tensor.
  public func shape(of name: String) -> [Int]? { entries[.init(name)]?.shape }
  /// The format's own name, as in `BF16`; nil if there is no such tensor.
  public func dtype(of name: String) -> String? { entries[.init(name)]?.dtype }
}

/// Whether `a` stands before `b` in the order of UTF-8 bytes. (Swift's own `<` on strings is the order of their
/// canonical forms, which differs.)
public func utf8Ascending(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

extension String {
  /// A string that is equal to another only if it has the same bytes. (Two canonically equivalent strings, such
  /// as U+00E9 and U+0065 U+0301, are equal to Swift, but are two names to every other program.)
  package struct UTF8Bytes: Hashable, Sendable {
    package let text: String
    package init(_ text: String) { self.text = text }

    package static func == (a: Self, b: Self) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    package func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
  }
}

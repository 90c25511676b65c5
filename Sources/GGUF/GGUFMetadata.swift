import Files
import LanguageModel

/// The metadata of a GGUF file, with typed access; every error names the file and the key.
public struct GGUFMetadata: Sendable {
  public let path: String
  /// In the order of the file.
  public let entries: [(key: String, value: GGUFValue)]
  private let placeOfKey: [String.UTF8Bytes: Int]
  private let file: MappedFile

  init(path: String, entries: [(key: String, value: GGUFValue)], file: MappedFile) {
    self.path = path
    self.entries = entries
    self.file = file
    var places: [String.UTF8Bytes: Int] = [:]
    for (place, entry) in entries.enumerated() { places[.init(entry.key)] = place }
    placeOfKey = places
  }

  public subscript(key: String) -> GGUFValue? { placeOfKey[.init(key)].map { entries[$0].value } }

  func fault(_ key: String, _ reason: String) -> ModelError {
    ModelError(file: path, name: "key \"\(key)\"", reason)
  }

  public func string(_ key: String) throws(ModelError) -> String? {
    guard let value = self[key] else { return nil }
    guard case .string(let text) = value else { throw fault(key, "must be a string, not \(value.kindName)") }
    return text
  }

  public func bool(_ key: String) throws(ModelError) -> Bool? {
    guard let value = self[key] else { return nil }
    guard case .bool(let flag) = value else {
      throw fault(key, "must be true or false, not \(value.kindName)")
    }
    return flag
  }

  /// A whole number from 0 to 2³⁰. Where a file has one for each layer, they must all be the same.
  public func count(_ key: String) throws(ModelError) -> Int? {
    guard let value = self[key] else { return nil }
    if case .array(let array) = value {
      let counts = try integers(array, key)
      guard let first = counts.first, counts.allSatisfy({ $0 == first }), (0...1 << 30).contains(first) else {
        throw fault(key, "differs from layer to layer, which is not supported")
      }
      return first
    }
    guard let number = value.int, (0...1 << 30).contains(number) else {
      throw fault(key, "must be a whole number from 0 to \(1 << 30), not \(value.kindName)")
    }
    return number
  }

  public func requiredCount(_ key: String) throws(ModelError) -> Int {
    guard let count = try count(key) else { throw fault(key, "is missing") }
    return count
  }

  /// A finite number, in the fewest digits that read back to it: 1e-05 for the f32 next to it.
  public func number(_ key: String) throws(ModelError) -> Double? {
    guard let value = self[key] else { return nil }
    switch value {
    case .float(let number) where number.isFinite: return Double("\(number)") ?? Double(number)
    case .double(let number) where number.isFinite: return number
    default:
      guard let number = value.int else { throw fault(key, "must be a number, not \(value.kindName)") }
      return Double(number)
    }
  }

  public func strings(_ key: String) throws(ModelError) -> [String]? {
    guard let array = try array(key) else { return nil }
    guard array.kind == .string else { throw fault(key, "must be a list of strings") }
    var cursor = GGUFCursor(file.bytes, file: path, at: array.start)
    var texts: [String] = []
    texts.reserveCapacity(array.count)
    for number in 0..<array.count { texts.append(try cursor.text(in: "key \"\(key)\", entry \(number)")) }
    return texts
  }

  public func integers(_ key: String) throws(ModelError) -> [Int]? {
    try array(key).map { array throws(ModelError) in try integers(array, key) }
  }

  public func floats(_ key: String) throws(ModelError) -> [Float]? {
    guard let array = try array(key) else { return nil }
    guard array.kind == .float32 else { throw fault(key, "must be a list of 32-bit floats") }
    var cursor = GGUFCursor(file.bytes, file: path, at: array.start)
    var values: [Float] = []
    values.reserveCapacity(array.count)
    for _ in 0..<array.count {
      values.append(Float(bitPattern: try cursor.integer(UInt32.self, in: "key \"\(key)\"")))
    }
    return values
  }

  private func array(_ key: String) throws(ModelError) -> GGUFArray? {
    guard let value = self[key] else { return nil }
    guard case .array(let array) = value else { throw fault(key, "must be a list, not \(value.kindName)") }
    return array
  }

  private func integers(_ array: GGUFArray, _ key: String) throws(ModelError) -> [Int] {
    var cursor = GGUFCursor(file.bytes, file: path, at: array.start)
    var values: [Int] = []
    values.reserveCapacity(array.count)
    for _ in 0..<array.count {
      guard let number = try cursor.value(array.kind, in: "key \"\(key)\"").int else {
        throw fault(key, "must be a list of whole numbers")
      }
      values.append(number)
    }
    return values
  }
}

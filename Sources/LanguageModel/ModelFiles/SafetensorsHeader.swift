import Files
import JSON

/// The header of a safetensors file, read and checked against the size of the file.
struct SafetensorsHeader {
  static let maximumLength: UInt64 = 100_000_000

  /// Bits per element of every format that safetensors files may hold.
  static let bitsPerElement: [String: Int] = [
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64,
    "I64": 64, "U64": 64,
  ]

  private(set) var entries: [String.UTF8Bytes: SafetensorsFile.Entry] = [:]
  private(set) var metadata: [(key: String, value: String)] = []
  private let path: String
  private let dataStart: Int
  private let dataSize: Int

  init(file: MappedFile) throws(ModelError) {
    path = file.path
    let bytes = file.bytes
    guard bytes.count >= 8 else {
      throw ModelError(
        file: path, "is \(bytes.count) bytes long, too short for a safetensors file; it may be cut off")
    }
    let length = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[$1]) << (8 * UInt64($1)) }
    guard length <= Self.maximumLength else {
      throw ModelError(
        file: path,
        "gives a header of \(length) bytes, more than the \(Self.maximumLength) that are allowed; "
          + "it is not a safetensors file")
    }
    guard Int(length) <= bytes.count - 8 else {
      throw ModelError(
        file: path, "gives a header of \(length) bytes but only \(bytes.count - 8) follow; it is cut off")
    }
    dataStart = 8 + Int(length)
    dataSize = bytes.count - dataStart
    guard length > 0, bytes[8] == UInt8(ascii: "{") else {
      throw ModelError(file: path, "has a header that does not start with '{'; it is not a safetensors file")
    }
    let json: JSONValue
    do throws(JSONError) {
      json = try JSONValue(parsing: UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]))
    } catch {
      throw ModelError(file: path, "has a broken header: \(error)")
    }
    try read(json.object?.members ?? [])
    try checkCover()
  }

  private mutating func read(_ members: [JSONObject.Member]) throws(ModelError) {
    entries.reserveCapacity(members.count)
    for member in members {
      if member.key.utf8.elementsEqual("__metadata__".utf8) {
        metadata = try readMetadata(member.value)
      } else {
        entries[.init(member.key)] = try entry(member.key, member.value)
      }
    }
  }

  private func readMetadata(_ value: JSONValue) throws(ModelError) -> [(key: String, value: String)] {
    // So does mlx write that there is none.
    if value.isNull { return [] }
    guard let object = value.object else {
      throw ModelError(file: path, name: "__metadata__", "must be an object of strings, not \(value.kind)")
    }
    var pairs: [(key: String, value: String)] = []
    for member in object.members {
      guard let text = member.value.string else {
        throw ModelError(
          file: path, name: "__metadata__.\(member.key)", "must be a string, not \(member.value.kind)")
      }
      pairs.append((member.key, text))
    }
    return pairs
  }

  private func entry(_ name: String, _ value: JSONValue) throws(ModelError) -> SafetensorsFile.Entry {
    guard let dtype = value["dtype"]?.string else { throw fault(name, "has no dtype") }
    guard let bits = Self.bitsPerElement[dtype] else {
      throw fault(name, "has the unknown dtype \"\(dtype)\"")
    }
    guard let shape = value["shape"]?.array.flatMap(Self.naturals) else {
      throw fault(name, "has no shape, or one that is not a list of whole numbers")
    }
    guard let offsets = value["data_offsets"]?.array.flatMap(Self.naturals), offsets.count == 2 else {
      throw fault(name, "has no data_offsets, or not two whole numbers there")
    }
    let (start, end) = (offsets[0], offsets[1])
    guard start <= end, end <= dataSize else {
      throw fault(
        name, "lies at bytes \(start) to \(end) of the data, which has \(dataSize); the file may be cut off")
    }
    var size: Int? = bits
    for extent in shape { size = size.flatMap { multiplied($0, extent) } }
    guard let size, size % 8 == 0, size / 8 == end - start else {
      throw fault(name, "has \(end - start) bytes, which is not what the shape \(shape) of \(dtype) needs")
    }
    return .init(dtype: dtype, shape: shape, start: dataStart + start, end: dataStart + end)
  }

  /// Every byte of the data belongs to exactly one tensor.
  private func checkCover() throws(ModelError) {
    let sorted = entries.sorted { a, b in
      if a.value.start != b.value.start { return a.value.start < b.value.start }
      if a.value.end != b.value.end { return a.value.end < b.value.end }
      return utf8Ascending(a.key.text, b.key.text)
    }
    var covered = dataStart
    for (name, entry) in sorted {
      guard entry.start >= covered else { throw fault(name.text, "overlaps the tensor before it") }
      guard entry.start == covered else {
        throw fault(name.text, "lies \(entry.start - covered) bytes after the end of the tensor before it")
      }
      covered = entry.end
    }
    guard covered == dataStart + dataSize else {
      throw ModelError(
        file: path, "has \(dataStart + dataSize - covered) bytes at its end that belong to no tensor")
    }
  }

  private func fault(_ name: String, _ reason: String) -> ModelError {
    ModelError(file: path, name: "tensor \(name)", reason)
  }

  private static func naturals(_ values: [JSONValue]) -> [Int]? {
    let numbers = values.compactMap { value -> Int? in
      guard case .number(let digits) = value, let number = Int(digits), number >= 0 else { return nil }
      return number
    }
    return numbers.count == values.count ? numbers : nil
  }
}

/// a·b, or nil if that is more than an `Int` holds.
func multiplied(_ a: Int, _ b: Int) -> Int? {
  let (product, overflow) = a.multipliedReportingOverflow(by: b)
  return overflow ? nil : product
}

import Files
import LanguageModel

/// Everything before the data of a GGUF file, checked against the length of the file.
struct GGUFHeader {
  private(set) var metadata: [(key: String, value: GGUFValue)] = []
  private(set) var tensors: [GGUFTensor] = []
  private var alignment = 32

  /// A name, a count of dimensions, a type and an offset.
  private static let smallestTensor = 8 + 4 + 4 + 8
  /// A name, a type and one byte.
  private static let smallestEntry = 8 + 4 + 1
  private static let mostDimensions = 4

  init(file: MappedFile) throws(ModelError) {
    var cursor = GGUFCursor(file.bytes, file: file.path)
    try Self.checkMagic(&cursor)
    let tensorCount = try cursor.count(ofSize: Self.smallestTensor, in: "the count of tensors")
    let entryCount = try cursor.count(ofSize: Self.smallestEntry, in: "the count of metadata")
    try readMetadata(entryCount, &cursor)
    var infos: [Info] = []
    infos.reserveCapacity(tensorCount)
    for number in 0..<tensorCount { infos.append(try Info(number: number, &cursor)) }
    try place(infos, cursor)
  }

  private static func checkMagic(_ cursor: inout GGUFCursor) throws(ModelError) {
    let what = "the beginning"
    let magic = try cursor.integer(UInt32.self, in: what)
    guard magic == 0x4655_4747 else {  // "GGUF"
      let old: [UInt32] = [0x6767_6A74, 0x6767_6D66, 0x6767_6D6C]  // ggjt, ggmf, ggml
      throw ModelError(
        file: cursor.file,
        old.contains(magic)
          ? "is in a format from before GGUF; convert the original model again with a current llama.cpp"
          : "is not a GGUF file: it does not begin with GGUF")
    }
    let version = try cursor.integer(UInt32.self, in: what)
    guard version == 2 || version == 3 else {
      throw ModelError(
        file: cursor.file,
        version.byteSwapped == 3 || version.byteSwapped == 2
          ? "is a big-endian GGUF file; only little-endian ones are read"
          : "has the GGUF version \(version); versions 2 and 3 are read")
    }
  }

  private mutating func readMetadata(_ count: Int, _ cursor: inout GGUFCursor) throws(ModelError) {
    var seen = Set<String.UTF8Bytes>()
    for number in 0..<count {
      let key = try cursor.text(in: "metadata \(number)", isName: true)
      guard seen.insert(.init(key)).inserted else { throw cursor.fault("stands twice", in: "key \"\(key)\"") }
      let kind = try cursor.kind(in: "key \"\(key)\"")
      let value = try cursor.value(kind, in: "key \"\(key)\"")
      metadata.append((key, value))
      if key == "general.alignment" {
        // 8 and a multiple of it, as the format says; data that lies at odd places could not be used as it is.
        guard let size = value.int, size > 0, size <= 1 << 16, size % 8 == 0 else {
          throw cursor.fault("must be a multiple of 8", in: "key \"\(key)\"")
        }
        alignment = size
      }
    }
  }

  /// What the header says of a tensor.
  private struct Info {
    let name: String
    let shape: [Int]
    let type: UInt32
    let offset: UInt64

    init(number: Int, _ cursor: inout GGUFCursor) throws(ModelError) {
      name = try cursor.text(in: "tensor \(number)", isName: true)
      let what = "tensor \(name)"
      let dimensions = try cursor.integer(UInt32.self, in: what)
      guard (1...UInt32(mostDimensions)).contains(dimensions) else {
        throw cursor.fault("has \(dimensions) dimensions; 1 to \(mostDimensions) are possible", in: what)
      }
      var shape: [Int] = []
      var count = 1
      for _ in 0..<dimensions {
        let size = try cursor.integer(UInt64.self, in: what)
        guard let size = Int(exactly: size), size > 0 else {
          throw cursor.fault("has a dimension of \(size)", in: what)
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, product < 1 << 48 else {
          throw cursor.fault("has more numbers than any file can hold", in: what)
        }
        count = product
        shape.insert(size, at: 0)
      }
      self.shape = shape
      type = try cursor.integer(UInt32.self, in: what)
      offset = try cursor.integer(UInt64.self, in: what)
    }
  }

  /// Finds the bytes of every tensor; they must lie in the file, aligned and apart.
  private mutating func place(_ infos: [Info], _ cursor: GGUFCursor) throws(ModelError) {
    let dataStart = (cursor.at + alignment - 1) / alignment * alignment
    var seen = Set<String.UTF8Bytes>()
    for info in infos {
      let what = "tensor \(info.name)"
      guard seen.insert(.init(info.name)).inserted else { throw cursor.fault("stands twice", in: what) }
      guard let offset = Int(exactly: info.offset), offset % alignment == 0, offset < 1 << 60 else {
        throw cursor.fault("its offset, \(info.offset), is not a multiple of \(alignment)", in: what)
      }
      let type = GGUFTensorType(rawValue: info.type)
      let tensor = GGUFTensor(
        name: info.name, shape: info.shape, typeNumber: info.type, start: dataStart + offset,
        byteCount: try type.map { type throws(ModelError) in try Self.byteCount(info, type, cursor) } ?? 0)
      guard tensor.start + tensor.byteCount <= cursor.bytes.count else {
        let missing = tensor.start + tensor.byteCount - cursor.bytes.count
        throw ModelError(
          file: cursor.file, name: what,
          "lies \(missing) bytes beyond the end of the file: it was cut short; download or convert it again")
      }
      tensors.append(tensor)
    }
    let ordered = tensors.sorted { $0.start < $1.start }
    for (tensor, next) in zip(ordered, ordered.dropFirst()) where tensor.start + tensor.byteCount > next.start
    {
      throw ModelError(file: cursor.file, name: "tensor \(next.name)", "overlaps with \(tensor.name)")
    }
  }

  private static func byteCount(
    _ info: Info, _ type: GGUFTensorType, _ cursor: GGUFCursor
  ) throws(ModelError) -> Int {
    guard let row = info.shape.last, row % type.blockCount == 0 else {
      throw cursor.fault(
        "has rows of \(info.shape.last ?? 0) numbers, which are no whole blocks of \(type.name)",
        in: "tensor \(info.name)")
    }
    return info.shape.reduce(1, *) / type.blockCount * type.blockSize
  }
}

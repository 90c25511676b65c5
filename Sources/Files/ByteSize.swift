/// A number of bytes, as in `5GB`, `800MB`, `64KB` (thousands, as disks are sold) or `1048576`.
public struct ByteSize: Sendable, Equatable, CustomStringConvertible {
  public let bytes: Int

  private static let units: [(name: String, bytes: Int)] = [
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("B", 1), ("", 1),
  ]

  public init(bytes: Int) { self.bytes = bytes }

  /// nil unless the text is a number above 0 with one of the units, or with none.
  public init?(text: String) {
    let text = text.uppercased()
    guard let unit = Self.units.first(where: { text.hasSuffix($0.name) }),
      let number = Double(text.dropLast(unit.name.count)), number > 0,
      let bytes = Int(exactly: (number * Double(unit.bytes)).rounded()), bytes > 0
    else { return nil }
    self.bytes = bytes
  }

  public var description: String {
    let unit = Self.units.first { bytes >= $0.bytes && bytes % $0.bytes == 0 } ?? ("", 1)
    return "\(bytes / unit.bytes)\(unit.name)"
  }
}

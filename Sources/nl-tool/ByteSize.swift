import ArgumentParser

/// A number of bytes, as in `5GB`, `800MB`, `64KB` (thousands, as disks are sold) or `1048576`.
struct ByteSize: ExpressibleByArgument, CustomStringConvertible {
  let bytes: Int

  private static let units: [(name: String, bytes: Int)] = [
    ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("B", 1), ("", 1),
  ]

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    let text = argument.uppercased()
    guard let unit = Self.units.first(where: { text.hasSuffix($0.name) }),
      let number = Double(text.dropLast(unit.name.count)), number > 0,
      let bytes = Int(exactly: (number * Double(unit.bytes)).rounded()), bytes > 0
    else { return nil }
    self.bytes = bytes
  }

  var description: String {
    let unit = Self.units.first { bytes >= $0.bytes && bytes % $0.bytes == 0 } ?? ("", 1)
    return "\(bytes / unit.bytes)\(unit.name)"
  }

  var defaultValueDescription: String { description }
}

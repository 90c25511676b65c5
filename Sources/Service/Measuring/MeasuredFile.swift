import Digests
import NestedLearning
import Training

/// Measured values as bytes: the SHA-256 of the rest; its kind on a line; for each name its length and count on a line
/// with it, names by their bytes; then all numbers, little-endian, f32, or Double for importance.
enum MeasuredFile {
  static func bytes(_ values: MeasuredValues) -> [UInt8] {
    var body: [UInt8] = []
    func add(_ line: String) { body += Array((line + "\n").utf8) }
    switch values {
    case .importance(let norms):
      add("importance \(norms.count)")
      for name in norms.keys.sortedByBytes() { add("1 \(name)") }
      for name in norms.keys.sortedByBytes() { append((norms[name] ?? 0).bitPattern, to: &body) }
    case .tokenLosses(let losses):
      add("losses 1")
      add("\(losses.count) all")
      for loss in losses { append(loss.bitPattern, to: &body) }
    case .texts(let texts):
      add("texts \(texts.count)")
      for (number, text) in texts.enumerated() { add("\(text.count) \(number)") }
      for id in texts.joined() { append(id, to: &body) }
    case .squaredGradients(let squares):
      add("squares \(squares.count)")
      for name in squares.keys.sortedByBytes() { add("\(squares[name]?.count ?? 0) \(name)") }
      for name in squares.keys.sortedByBytes() {
        for square in squares[name] ?? [] { append(square.bitPattern, to: &body) }
      }
    }
    return Array(digest(body[...]).utf8) + body
  }

  /// Nil if they are not whole.
  static func values(_ bytes: [UInt8]) -> MeasuredValues? {
    guard bytes.count > 64, String(decoding: bytes.prefix(64), as: UTF8.self) == digest(bytes.dropFirst(64))
    else { return nil }
    var rest = bytes.dropFirst(64)
    guard let head = words(&rest), let count = Int(head.1), count >= 0, count <= rest.count else {
      return nil
    }
    var entries: [(name: String, count: Int)] = []
    for _ in 0..<count {
      guard let entry = words(&rest), let numbers = Int(entry.0), numbers >= 0, numbers <= rest.count
      else { return nil }
      entries.append((entry.1, numbers))
    }
    switch head.0 {
    case "importance":
      let numbers = numbers(rest, UInt64.self).map(Double.init(bitPattern:))
      guard numbers.count == entries.count else { return nil }
      return .importance(Dictionary(zip(entries.map(\.name), numbers), uniquingKeysWith: { $1 }))
    case "texts":
      let ids = numbers(rest, Int32.self)
      guard ids.count == entries.reduce(0, { $0 + $1.count }) else { return nil }
      var (texts, next): ([[Int32]], Int) = ([], 0)
      for (_, count) in entries {
        texts.append(Array(ids[next..<next + count]))
        next += count
      }
      return .texts(texts)
    case "losses", "squares":
      let numbers = numbers(rest, UInt32.self).map(Float.init(bitPattern:))
      guard numbers.count == entries.reduce(0, { $0 + $1.count }) else { return nil }
      guard head.0 == "squares" else { return .tokenLosses(numbers) }
      var (squares, next): (GradientSums, Int) = ([:], 0)
      for (name, count) in entries {
        squares[name] = Array(numbers[next..<next + count])
        next += count
      }
      return .squaredGradients(squares)
    default: return nil
    }
  }

  /// Takes a line of two words.
  private static func words(_ rest: inout ArraySlice<UInt8>) -> (String, String)? {
    guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let line = String(decoding: rest[..<end], as: UTF8.self)
    rest = rest[(end + 1)...]
    let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }

  private static func append(_ bits: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: bits.littleEndian) { bytes += $0 }
  }

  private static func numbers<Bits: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, _: Bits.Type) -> [Bits] {
    let size = MemoryLayout<Bits>.size
    guard bytes.count % size == 0 else { return [] }
    return bytes.withUnsafeBytes { raw in
      (0..<raw.count / size).map {
        Bits(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * size, as: Bits.self))
      }
    }
  }

  private static func digest(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.withUnsafeBytes { Digest.sha256($0) }
  }
}

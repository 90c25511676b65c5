import Foundation
import Harness
import JSON
import Testing

/// The texts that tokenizers are compared on; Fixtures/tokenizers/test_strings.py makes the same ones.
struct TokenizerStrings {
  let nasty: [String]
  /// The digest of all random strings, which says whether they are those of the script.
  let randomDigest: String
  private let ranges: [(first: Int, end: Int)]
  private let fragments: [String]

  init() throws {
    let json = try readFixture("tokenizers/strings.json")
    func strings(_ key: String) throws -> [String] { try #require(json[key]?.array).compactMap(\.string) }
    nasty = try strings("nasty")
    fragments = try strings("fragments")
    randomDigest = try #require(json["random_digest"]?.string)
    ranges = try #require(json["ranges"]?.array).compactMap { pair in
      guard let first = pair.array?.first?.int, let end = pair.array?.last?.int else { return nil }
      return (first, end)
    }
  }

  func random(_ index: Int) -> String {
    var random = SplitMix64(seed: UInt64(index) &* 0x632B_E59B_D9B4_E019)
    var text = String.UnicodeScalarView()
    for _ in 0..<random.next(below: 24) {
      if random.next(below: 3) == 0 {
        text.append(contentsOf: fragments[random.next(below: fragments.count)].unicodeScalars)
      } else {
        let range = ranges[random.next(below: ranges.count)]
        let value = range.first + random.next(below: range.end - range.first)
        if let scalar = Unicode.Scalar(UInt32(value)) { text.append(scalar) }
      }
    }
    return String(text)
  }

  private static func scalars(_ block: Int, _ size: Int) -> [Unicode.Scalar] {
    (block * size..<(block + 1) * size).compactMap { Unicode.Scalar(UInt32($0)) }
  }

  static func scalarText(_ block: Int, _ size: Int) -> String {
    fill("a#1 ##<w># <w>\n", scalars(block, size))
  }

  static func combiningText(_ block: Int, _ size: Int) -> String {
    fill("a#\u{345}\u{334}#\u{301}# \u{1100}#\u{AC00}#\u{323}#\u{307}e\u{305}#\n", scalars(block, size))
  }

  /// The pattern once for each scalar, which takes the place of every #.
  private static func fill(_ pattern: String, _ scalars: [Unicode.Scalar]) -> String {
    let pattern = Array(pattern.unicodeScalars)
    var text = String.UnicodeScalarView()
    for scalar in scalars {
      for place in pattern { text.append(place == "#" ? scalar : place) }
    }
    return String(text)
  }

  /// 24 bits of FNV-1a over the little-endian bytes of ids, as six hexadecimal digits.
  static func digest(_ ids: [Int32]) -> String {
    var bytes: [UInt8] = []
    for id in ids { for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: id >> (8 * shift))) } }
    return digest(bytes)
  }

  static func digest(_ text: String) -> String { digest(Array(text.utf8)) }

  static func digest(_ bytes: [UInt8]) -> String {
    var value: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String((value ^ value >> 24 ^ value >> 48) & 0xFF_FFFF, radix: 16)
    return String(repeating: "0", count: 6 - digits.count) + digits
  }

  /// The digests in a list of lines.
  static func digests(_ lines: JSONValue?) throws -> [String] {
    let text = try #require(lines?.array).compactMap(\.string).joined()
    let digits = Array(text.utf8)
    return stride(from: 0, to: digits.count, by: 6).map {
      String(decoding: digits[$0..<($0 + 6)], as: UTF8.self)
    }
  }
}

func readFixture(_ name: String) throws -> JSONValue {
  try JSONValue(parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: fixture(name)))))
}

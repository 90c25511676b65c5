import Crypto

/// SHA-256 as this project writes it everywhere: 64 lower-case hexadecimal digits.
public enum Digest {
  public static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
    var builder = DigestBuilder()
    builder.update(bytes)
    return builder.finish()
  }

  public static func sha256(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { sha256($0) } }

  /// The digest of a string's UTF-8 bytes.
  public static func sha256(_ text: String) -> String { sha256(Array(text.utf8)) }

  /// The digest of the bytes of f32 values, as they travel.
  package static func sha256(floats: [Float]) -> String { floats.withUnsafeBytes { sha256($0) } }

  /// Whether a text has the form of a digest.
  public static func isSHA256(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

/// SHA-256 of bytes that come piece by piece.
public struct DigestBuilder: Sendable {
  private var function = SHA256()

  public init() {}

  public mutating func update(_ bytes: UnsafeRawBufferPointer) { function.update(bufferPointer: bytes) }

  public mutating func update(_ text: String) { function.update(data: Array(text.utf8)) }

  /// The digest of everything added so far, in hexadecimal.
  public func finish() -> String { Hexadecimal.text(function.finalize()) }
}

/// Lower-case hexadecimal digits.
enum Hexadecimal {
  private static let digits = Array("0123456789abcdef".utf8)

  static func text(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// 16 digits, the most significant first.
  static func text(_ word: UInt64) -> String {
    text((0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) })
  }

  /// The number that exactly 16 lower-case digits stand for.
  static func word(_ text: some StringProtocol) -> UInt64? {
    guard text.utf8.count == 16 else { return nil }
    var word: UInt64 = 0
    for digit in text.utf8 {
      guard let value = digits.firstIndex(of: digit) else { return nil }
      word = word << 4 | UInt64(value)
    }
    return word
  }
}

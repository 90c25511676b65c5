import CZeroMQ

/// A CURVE public key: 32 bytes, written as 40 characters of Z85 (ZeroMQ's RFC 32).
public struct PublicKey: Sendable, Hashable, CustomStringConvertible {
  public static let byteCount = 32
  public static let textCount = 40

  let bytes: [UInt8]

  /// Nil unless there are exactly 32 bytes.
  init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  /// Nil unless the text is exactly 40 characters of Z85.
  public init?(_ text: String) {
    guard let bytes = Z85.bytes(text) else { return nil }
    self.bytes = bytes
  }

  public var description: String { Z85.text(bytes) }
}

/// A CURVE secret key. Its value is in no description, no mirror and no error; only `exposedText` gives it out.
public struct SecretKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  let bytes: [UInt8]
  /// The public key that belongs to it.
  public let publicKey: PublicKey

  /// Nil unless the text is exactly 40 characters of Z85.
  public init?(_ text: String) {
    guard let bytes = Z85.bytes(text) else { return nil }
    var derived = [CChar](repeating: 0, count: PublicKey.textCount + 1)
    guard zmq_curve_public(&derived, text) == 0, let publicKey = PublicKey(Z85.text(derived)) else {
      return nil
    }
    self.bytes = bytes
    self.publicKey = publicKey
  }

  /// A new key from the system's random numbers. Neither it nor its public key begins with a mark that a shell, an
  /// option parser or a list with comments would take for something else.
  ///
  /// - Throws: if this ZeroMQ was built without CURVE.
  public static func generate() throws(TransportError) -> SecretKey {
    while true {
      var publicText = [CChar](repeating: 0, count: PublicKey.textCount + 1)
      var secretText = publicText
      guard zmq_curve_keypair(&publicText, &secretText) == 0 else {
        throw TransportError(
          .system, "no key could be made: this libzmq has no CURVE; install one that was built with libsodium"
        )
      }
      guard let key = SecretKey(Z85.text(secretText)) else {
        throw TransportError(.system, "libzmq made a key that it does not read")
      }
      if [publicText[0], secretText[0]].allSatisfy(Z85.isLetterOrDigit) { return key }
    }
  }

  /// The key itself, for a file that only its owner can read.
  public var exposedText: String { Z85.text(bytes) }

  public var description: String { "the secret key of \(publicKey)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The text form of keys.
enum Z85 {
  static func bytes(_ text: String) -> [UInt8]? {
    guard text.utf8.count == PublicKey.textCount, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      return nil
    }
    var bytes = [UInt8](repeating: 0, count: PublicKey.byteCount)
    // Several texts can stand for the same bytes modulo 2^32; only the one that is written is read.
    guard zmq_z85_decode(&bytes, text) != nil, self.text(bytes) == text else { return nil }
    return bytes
  }

  static func text(_ bytes: [UInt8]) -> String {
    var text = [CChar](repeating: 0, count: bytes.count * 5 / 4 + 1)
    guard zmq_z85_encode(&text, bytes, bytes.count) != nil else { return "" }
    return self.text(text)
  }

  static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func isLetterOrDigit(_ character: CChar) -> Bool {
    switch UInt8(bitPattern: character) {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: false
    }
  }
}

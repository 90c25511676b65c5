import Digests

/// The 128-bit number that a worker gets when it is welcomed and that every later message of both sides carries.
/// A worker that joins again gets another one, so nothing from before is taken for something new.
public struct SessionID: Sendable, Hashable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// No session yet: what HELLO and REJECT carry.
  public static let none = SessionID(high: 0, low: 0)

  /// 32 hexadecimal digits.
  public var description: String { Hexadecimal.text(high) + Hexadecimal.text(low) }
}

/// The routing id under which the coordinator's socket knows one connection of a worker.
public struct PeerID: Sendable, Hashable, CustomStringConvertible {
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public init(_ text: String) { bytes = Array(text.utf8) }

  /// Printable ids as they are, all others in hexadecimal.
  public var description: String {
    bytes.allSatisfy { (0x21...0x7E).contains($0) } && !bytes.isEmpty
      ? String(decoding: bytes, as: UTF8.self) : Hexadecimal.text(bytes)
  }
}

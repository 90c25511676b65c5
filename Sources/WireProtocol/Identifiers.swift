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

/// The number that a coordinator gives a run when it takes it up: 1, 2, … in the life of its process.
public struct RunNumber: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let value: UInt32

  public init(_ value: UInt32) { self.value = value }

  /// No run.
  public static let none = RunNumber(0)

  public static func < (a: RunNumber, b: RunNumber) -> Bool { a.value < b.value }

  public var description: String { "run \(value)" }
}

/// What a message about work is about: a run, and the term in which its coordinator has it. A message of an earlier term
/// is of a coordinator that is no longer in charge, or for one.
public struct RunTerm: Sendable, Hashable {
  public let run: RunNumber
  public let term: UInt64

  public init(_ run: RunNumber, term: UInt64) {
    self.run = run
    self.term = term
  }

  public static let none = RunTerm(.none, term: 0)
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

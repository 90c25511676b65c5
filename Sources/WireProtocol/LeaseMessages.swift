/// ACCEPT: the worker computes this attempt.
public struct Accept: Sendable, Equatable {
  public var attempt: Int

  public init(attempt: Int) { self.attempt = attempt }
}

extension Accept: MessageBody {
  func write(to writer: inout BodyWriter) { writer.add("attempt", attempt) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(attempt: try reader.integer("attempt", in: 1...Int.max))
  }
}

/// Why a worker does not compute what it is asked for.
public enum DeclineCode: String, Sendable, CaseIterable {
  /// It has another attempt at hand.
  case busy
  /// A tier's parameters are missing or of another version.
  case parameters
  /// Its model is not loaded.
  case notReady = "not_ready"
  /// It is about to leave.
  case leaving
  /// A code of a later version.
  case other
}

/// DECLINE: the worker does not compute this attempt.
public struct Decline: Sendable, Equatable {
  public var attempt: Int
  public var code: DeclineCode
  public var reason: String

  public init(attempt: Int, code: DeclineCode, reason: String) {
    self.attempt = attempt
    self.code = code
    self.reason = reason
  }
}

extension Decline: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("attempt", attempt)
    writer.add("code", code.rawValue)
    writer.add("reason", reason)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      attempt: try reader.integer("attempt", in: 1...Int.max),
      code: DeclineCode(rawValue: try reader.string("code", maximum: 64)) ?? .other,
      reason: try reader.string("reason"))
  }
}

/// LEASE_RENEW: the worker is still at it.
public struct LeaseRenew: Sendable, Equatable {
  public var attempt: Int
  /// Steps of the computation done so far; it only grows.
  public var progress: Int

  public init(attempt: Int, progress: Int) {
    self.attempt = attempt
    self.progress = progress
  }
}

extension LeaseRenew: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("attempt", attempt)
    writer.add("progress", progress)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      attempt: try reader.integer("attempt", in: 1...Int.max),
      progress: try reader.integer("progress", in: 0...WireLimits.progressSteps))
  }
}

/// CANCEL: the attempt is not needed any more.
public struct Cancel: Sendable, Equatable {
  public var attempt: Int

  public init(attempt: Int) { self.attempt = attempt }
}

extension Cancel: MessageBody {
  func write(to writer: inout BodyWriter) { writer.add("attempt", attempt) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(attempt: try reader.integer("attempt", in: 1...Int.max))
  }
}

/// CANCELLED: the worker does not compute the attempt (any more), and takes other work.
public struct Cancelled: Sendable, Equatable {
  public var attempt: Int

  public init(attempt: Int) { self.attempt = attempt }
}

extension Cancelled: MessageBody {
  func write(to writer: inout BodyWriter) { writer.add("attempt", attempt) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(attempt: try reader.integer("attempt", in: 1...Int.max))
  }
}

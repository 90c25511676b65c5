import JSON

/// PROBE: the worker runs a small fixed computation, whose bits show whether its arithmetic is the coordinator's.
public struct Probe: Sendable, Equatable {
  /// What the numbers that it begins with are drawn from.
  public var seed: UInt64

  public init(seed: UInt64) { self.seed = seed }
}

extension Probe: MessageBody {
  func write(to writer: inout BodyWriter) { writer.add("seed", .number(String(seed))) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    guard let seed = try reader.optionalUnsigned("seed") else { throw reader.error("seed", "is missing") }
    self.init(seed: seed)
  }
}

/// PROBE_RESULT: the digest of everything that the computation came to.
public struct ProbeResult: Sendable, Equatable {
  public var sha256: String

  public init(sha256: String) { self.sha256 = sha256 }
}

extension ProbeResult: MessageBody {
  func write(to writer: inout BodyWriter) { writer.add("sha256", sha256) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(sha256: try reader.sha256("sha256"))
  }
}

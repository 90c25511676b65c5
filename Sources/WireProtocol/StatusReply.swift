import JSON

/// How a run stands, for people and programs that watch; PROTOCOL.md has the members.
public struct StatusReply: Sendable, Equatable, MessageBody {
  public let status: JSONValue

  public init(status: JSONValue) { self.status = status }

  func write(to writer: inout BodyWriter) { writer.add("status", status) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    let status = try reader.value("status")
    guard status.object != nil else { throw reader.error("status", "must be an object") }
    self.init(status: status)
  }
}

/// STATUS: how does a run stand?
public struct StatusRequest: Sendable, Equatable, MessageBody {
  /// The folder of the run; nil for the one that the coordinator is at, or the first of them.
  public let folder: String?

  public init(folder: String? = nil) { self.folder = folder }

  func write(to writer: inout BodyWriter) { writer.add("folder", ifPresent: folder.map { .string($0) }) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(folder: try reader.optionalString("folder", maximum: WireLimits.textBytes))
  }
}

/// CONTROL: what whoever is on the coordinator's machine wants done with a run. It is answered by STATUS_REPLY.
public struct Control: Sendable, Equatable, MessageBody {
  public enum Command: String, Sendable, CaseIterable {
    /// Rest between two steps, with everything written down.
    case pause
    /// Go on.
    case resume
  }

  public let command: Command
  /// The folder of the run.
  public let folder: String
  /// What the coordinator has written into that folder, for those alone who may read it.
  public let token: String

  public init(_ command: Command, folder: String, token: String) {
    self.command = command
    self.folder = folder
    self.token = token
  }

  func write(to writer: inout BodyWriter) {
    writer.add("command", command.rawValue)
    writer.add("folder", folder)
    writer.add("token", token)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    guard let command = Command(rawValue: try reader.string("command", maximum: 64)) else {
      throw reader.error("command", "must be pause or resume")
    }
    self.init(
      command, folder: try reader.string("folder"), token: try reader.string("token", maximum: 64))
  }
}

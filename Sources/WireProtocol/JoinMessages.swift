import JSON

/// HELLO: the first message on a connection. Nothing else is read from a peer that has not said it.
public struct Hello: Sendable, Equatable {
  /// Name and version of the program.
  public var program: String
  /// What fixes the bits of a gradient: the profile that it computes in by itself.
  public var numericProfile: String
  /// All that it can compute in; workers of one run use the same. A worker that does not say has the one.
  public var numericProfiles: [String]
  /// The instruction set in use, for the record.
  public var isa: String
  public var threads: Int
  public var host: String
  public var processID: Int
  /// The number of a worker that the coordinator started itself; nil for all others.
  public var localIndex: Int?
  /// What the coordinator has told that worker alone, so that nobody else can pass for it.
  public var localSecret: String?
  /// Digest of the model folder that the worker was started with; nil if it has none of its own.
  public var modelSHA256: String?
  /// By run: the highest term in which its process has worked on it; nothing of runs that it has not seen.
  public var terms: [String: UInt64]

  public init(
    program: String, numericProfile: String, isa: String,
    threads: Int,
    host: String, processID: Int, localIndex: Int? = nil, modelSHA256: String? = nil,
    numericProfiles: [String]? = nil, localSecret: String? = nil, terms: [String: UInt64] = [:]
  ) {
    self.program = program
    self.numericProfile = numericProfile
    self.numericProfiles = numericProfiles ?? [numericProfile]
    self.isa = isa
    self.threads = threads
    self.host = host
    self.processID = processID
    self.localIndex = localIndex
    self.localSecret = localSecret
    self.modelSHA256 = modelSHA256
    self.terms = terms
  }
}

extension Hello: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("program", program)
    writer.add("numeric_profile", numericProfile)
    writer.add("isa", isa)
    writer.add("threads", threads)
    writer.add("host", host)
    writer.add("process_id", processID)
    writer.add("local_index", ifPresent: localIndex.map { .number($0) })
    writer.add("model_sha256", ifPresent: modelSHA256.map { .string($0) })
    writer.add("local_secret", ifPresent: localSecret.map { .string($0) })
    if numericProfiles != [numericProfile] {
      writer.add("numeric_profiles", .array(numericProfiles.map { .string($0) }))
    }
    guard !terms.isEmpty else { return }
    let runs = terms.sorted { $0.key < $1.key }
    writer.add("runs", .array(runs.map { .string($0.key) }))
    writer.add("terms", .array(runs.map { .number(String($0.value)) }))
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      program: try reader.string("program", maximum: 256),
      numericProfile: try reader.string("numeric_profile", maximum: 256),
      isa: try reader.string("isa", maximum: 64),
      threads: try reader.integer("threads", in: 1...65_536),
      host: try reader.string("host", maximum: 256),
      processID: try reader.integer("process_id", in: 0...Int(Int32.max)),
      localIndex: try reader.optionalInteger("local_index", in: 0...65_535),
      modelSHA256: try reader.optionalSHA256("model_sha256"),
      numericProfiles: try reader.optionalStrings(
        "numeric_profiles", count: 1...WireLimits.numericProfiles, maximum: 256),
      localSecret: try reader.optionalString("local_secret", maximum: 64),
      terms: try Self.terms(from: reader))
  }

  private static func terms(from reader: BodyReader) throws(ProtocolError) -> [String: UInt64] {
    guard
      let runs = try reader.optionalStrings(
        "runs", count: 0...WireLimits.knownRuns, maximum: WireLimits.runBytes)
    else { return [:] }
    var terms: [UInt64] = []
    for item in try reader.value("terms").array ?? [] {
      guard case .number(let digits) = item, let term = UInt64(digits) else { break }
      terms.append(term)
    }
    guard terms.count == runs.count else {
      throw reader.error("terms", "must be a list with a term for each of runs")
    }
    return Dictionary(zip(runs, terms), uniquingKeysWith: max)
  }
}

/// WELCOME: the answer to HELLO. Its envelope carries the session that all later messages bear.
public struct Welcome: Sendable, Equatable {
  /// The worker's number in the fleet.
  public var workerID: Int
  /// A worker that has sent nothing for so long sends PING.
  public var heartbeatSeconds: Double

  public init(workerID: Int, heartbeatSeconds: Double) {
    self.workerID = workerID
    self.heartbeatSeconds = heartbeatSeconds
  }
}

extension Welcome: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("worker_id", workerID)
    writer.add("heartbeat_seconds", .number(heartbeatSeconds))
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      workerID: try reader.integer("worker_id", in: 0...Int.max),
      heartbeatSeconds: try reader.seconds("heartbeat_seconds"))
  }
}

/// Why a worker is turned away.
public enum RejectCode: String, Sendable, CaseIterable {
  /// Another major version of the protocol, or too distant a minor one.
  case version
  /// Another numeric profile: its gradients would have other bits.
  case numericProfile = "numeric_profile"
  /// Another base model.
  case model
  /// This connection has no session here (any more): say HELLO on a new one.
  case unknownSession = "unknown_session"
  /// The run is ending and takes no workers.
  case draining
  /// As many workers as the coordinator takes.
  case full
  /// A worker of this identity has come to a wrong result.
  case quarantined
  /// A code of a later version.
  case other

  /// Whether the worker may try again on a new connection.
  public var mayRetry: Bool { self == .unknownSession || self == .full }
}

/// REJECT: the worker is not, or no longer, part of the run.
public struct Reject: Sendable, Equatable {
  public var code: RejectCode
  public var reason: String

  public init(code: RejectCode, reason: String) {
    self.code = code
    self.reason = reason
  }
}

extension Reject: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("code", code.rawValue)
    writer.add("reason", reason)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      code: RejectCode(rawValue: try reader.string("code", maximum: 64)) ?? .other,
      reason: try reader.string("reason"))
  }
}

/// READY: the worker has loaded a model with this digest and takes work.
public struct Ready: Sendable, Equatable {
  public var modelSHA256: String

  public init(modelSHA256: String) { self.modelSHA256 = modelSHA256 }
}

extension Ready: MessageBody {
  func write(to writer: inout BodyWriter) { writer.add("model_sha256", modelSHA256) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(modelSHA256: try reader.sha256("model_sha256"))
  }
}

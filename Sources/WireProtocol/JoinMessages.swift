import JSON

/// HELLO: the first message on a connection. Nothing else is read from a peer that has not said it.
public struct Hello: Sendable, Equatable {
  /// The worker's minor protocol version.
  public var minor: Int
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

  public init(
    minor: Int = Int(ProtocolVersion.minor), program: String, numericProfile: String, isa: String,
    threads: Int,
    host: String, processID: Int, localIndex: Int? = nil, modelSHA256: String? = nil,
    numericProfiles: [String]? = nil, localSecret: String? = nil
  ) {
    self.minor = minor
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
  }
}

extension Hello: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("minor", minor)
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
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      minor: try reader.integer("minor", in: 0...255),
      program: try reader.string("program", maximum: 256),
      numericProfile: try reader.string("numeric_profile", maximum: 256),
      isa: try reader.string("isa", maximum: 64),
      threads: try reader.integer("threads", in: 1...65_536),
      host: try reader.string("host", maximum: 256),
      processID: try reader.integer("process_id", in: 0...Int(Int32.max)),
      localIndex: try reader.optionalInteger("local_index", in: 0...65_535),
      modelSHA256: try reader.optionalSHA256("model_sha256"),
      numericProfiles: try reader.optionalStrings("numeric_profiles", count: 1...16, maximum: 256),
      localSecret: try reader.optionalString("local_secret", maximum: 64))
  }
}

/// A trained parameter's place in its tier's run of values.
public struct TierParameter: Sendable, Equatable {
  public var name: String
  public var shape: [Int]

  public init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
  }

  /// The number of values. Shapes from messages have been checked not to overflow it.
  public var count: Int { shape.reduce(1, *) }
}

/// WELCOME: the answer to HELLO. Its envelope carries the session that all later messages bear.
public struct Welcome: Sendable, Equatable {
  public var workerID: Int
  /// Where the coordinator has the model; a worker without a folder of its own looks there.
  public var modelPath: String
  /// Digest that the worker's model folder must have.
  public var modelSHA256: String
  /// What is trained: the LoRA specification, or the string "full".
  public var trainable: JSONValue
  /// For every tier its parameters, names ascending by UTF-8 bytes: the layout of every tier's values and
  /// gradients from now on.
  public var tiers: [[TierParameter]]
  /// A worker that has sent nothing for so long sends PING.
  public var heartbeatSeconds: Double
  /// One of those that the worker has said; nil: the one that it computes in by itself.
  public var numericProfile: String?
  /// Whether the worker is to keep only the inputs of layers and to compute the rest twice. No bit depends on it.
  public var recomputesLayers: Bool
  /// Tells the run from all others, and stays the same when its coordinator is started again: terms are compared within
  /// a run. Nil from a coordinator of before.
  public var run: String?

  public init(
    workerID: Int, modelPath: String, modelSHA256: String, trainable: JSONValue, tiers: [[TierParameter]],
    heartbeatSeconds: Double, numericProfile: String? = nil, recomputesLayers: Bool = false,
    run: String? = nil
  ) {
    self.workerID = workerID
    self.modelPath = modelPath
    self.modelSHA256 = modelSHA256
    self.trainable = trainable
    self.tiers = tiers
    self.heartbeatSeconds = heartbeatSeconds
    self.numericProfile = numericProfile
    self.recomputesLayers = recomputesLayers
    self.run = run
  }
}

extension Welcome: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("worker_id", workerID)
    writer.add("model_path", modelPath)
    writer.add("model_sha256", modelSHA256)
    writer.add("trainable", trainable)
    writer.add(
      "tiers",
      .array(
        tiers.map { tier in
          .array(tier.map { ["name": .string($0.name), "shape": .numbers($0.shape)] })
        }))
    writer.add("heartbeat_seconds", .number(heartbeatSeconds))
    writer.add("numeric_profile", ifPresent: numericProfile.map { .string($0) })
    writer.add("recomputes_layers", ifPresent: recomputesLayers ? true : nil)
    writer.add("run", ifPresent: run.map { .string($0) })
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      workerID: try reader.integer("worker_id", in: 0...Int.max),
      modelPath: try reader.string("model_path"),
      modelSHA256: try reader.sha256("model_sha256"),
      trainable: try reader.value("trainable"),
      tiers: try Welcome.tiers(from: reader),
      heartbeatSeconds: try reader.seconds("heartbeat_seconds"),
      numericProfile: try reader.optionalString("numeric_profile", maximum: 256),
      recomputesLayers: try reader.optionalBool("recomputes_layers") ?? false,
      run: try reader.optionalString("run", maximum: 256))
  }

  private static func tiers(from reader: BodyReader) throws(ProtocolError) -> [[TierParameter]] {
    guard let lists = try reader.value("tiers").array, lists.count <= WireLimits.tiers else {
      throw reader.error("tiers", "must be a list of at most \(WireLimits.tiers) lists of parameters")
    }
    var tiers: [[TierParameter]] = []
    for list in lists {
      guard let items = list.array else {
        throw reader.error("tiers", "must be a list of lists of parameters")
      }
      var tier: [TierParameter] = []
      for item in items { tier.append(try parameter(item, reader)) }
      let names = tier.map { Array($0.name.utf8) }
      guard zip(names, names.dropFirst()).allSatisfy({ $0.lexicographicallyPrecedes($1) }) else {
        throw reader.error("tiers", "must name each tier's parameters in ascending order")
      }
      tiers.append(tier)
    }
    return tiers
  }

  private static func parameter(_ item: JSONValue, _ reader: BodyReader) throws(ProtocolError)
    -> TierParameter
  {
    guard let name = item["name"]?.string, name.utf8.count <= WireLimits.textBytes,
      let sizes = item["shape"]?.array, sizes.count <= 8
    else { throw reader.error("tiers", "must give each parameter a name and a shape") }
    var shape: [Int] = []
    var count = 1
    for size in sizes {
      guard let size = size.int, size > 0 else {
        throw reader.error("tiers", "has a shape that is not positive")
      }
      let product = count.multipliedReportingOverflow(by: size)
      guard !product.overflow, product.partialValue <= 1 << 40 else {
        throw reader.error("tiers", "has a parameter of more than 2^40 values")
      }
      count = product.partialValue
      shape.append(size)
    }
    return TierParameter(name: name, shape: shape)
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

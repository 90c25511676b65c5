/// What a message may weigh. Every limit is checked against a declared length before anything of that length is
/// allocated; the same limits hold for sending, so that what cannot be received is never sent.
public struct WireLimits: Sendable, Equatable {
  /// Bytes of the control body.
  public var bodyBytes = 4 << 20
  /// Objects in one message.
  public var objects = 16_384
  /// Bytes of one object.
  public var objectBytes = 4 << 30
  /// Bytes of all objects of one message.
  public var messageBytes = 8 << 30

  /// The minor version that this side speaks; another than its own for tests alone, of what a later one brings.
  public var minor = ProtocolVersion.minor

  public init() {}

  /// Bytes of a payload, the frame behind a body: objects of a message that have no more together travel in it, larger
  /// ones as a transfer.
  public static let payloadBytes = 256 << 10
  /// Bytes of an object, or of a base model's file, in every chunk but its last, which has the rest. Part of the format.
  public static let chunkBytes = payloadBytes
  /// Bytes of an object's segments, but for the last, which has the rest. A transfer goes on behind those that have come.
  public static let segmentBytes = 4 << 20
  /// Bytes of an object's name.
  public static let nameBytes = 64
  /// Bytes of a text in the control body, unless its field says otherwise.
  public static let textBytes = 4096
  /// Micro-batches in one step or evaluation.
  public static let microBatches = 1 << 20
  /// Micro-batches in one shard.
  public static let shardMicroBatches = 256
  /// Gradients, chains or reports of them in one result.
  public static let resultGradients = 4096
  /// Digests of one kind (forward, backward, gradients, sums) that a result has of the layers.
  public static let layerDigests = 16_384
  /// Steps of the computation of one shard, as LEASE_RENEW counts them.
  public static let progressSteps = 1 << 40
  /// Bytes of memory that a worker may say it has.
  public static let residentBytes = 1 << 50
  /// Bytes of what tells a run from others, and runs whose terms a worker keeps in mind.
  public static let runBytes = 256
  public static let knownRuns = 64
  /// Tiers of a run.
  public static let tiers = 1024
  /// Tokens of a text that the base model writes itself.
  public static let textTokens = 1 << 20
  /// Tasks that share a transformer, and labels of one of them.
  public static let tasks = 64
  /// Domains of rows.
  public static let domains = 256
  public static let taskLabels = 65_536
  /// Numeric profiles that a worker has.
  public static let numericProfiles = 128
  /// Files of a base model, bytes of one of them, of all and of a name, and bytes of a piece that is asked for at once.
  public static let modelFiles = 4096
  public static let modelFileBytes = 1 << 44
  public static let modelBytes = modelFiles * modelFileBytes
  public static let fileNameBytes = 200
  public static let modelPieceBytes = 1 << 20
  /// How deep lists and objects of a control body may be nested.
  public static let bodyDepth = 16

  /// The longest frame that a message within these limits has.
  public var frameBytes: Int {
    max(bodyBytes, WireLimits.payloadBytes, FrameHeader.byteCount)
  }
}

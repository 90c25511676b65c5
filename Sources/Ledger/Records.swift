import JSON

/// What a run is, written once when it is created.
public struct RunRecord: Sendable, Equatable {
  public var experimentName: String
  /// The absolute path of the base model's folder.
  public var baseModelPath: String
  /// Every value in force, defaults included: the text of the run folder's config.json.
  public var configuration: JSONValue
  /// The program that made the run, with its version.
  public var program: String
  public var createdAt: Timestamp

  public init(
    experimentName: String, baseModelPath: String, configuration: JSONValue, program: String,
    createdAt: Timestamp = .now()
  ) {
    self.experimentName = experimentName
    self.baseModelPath = baseModelPath
    self.configuration = configuration
    self.program = program
    self.createdAt = createdAt
  }
}

/// How a run ended.
public enum RunOutcome: Sendable, Equatable {
  /// All steps are done, or early stopping ended them.
  case completed(reason: String)
  /// It was asked to stop, and can be resumed.
  case stopped(reason: String)
  case failed(reason: String)

  /// Its name in the ledger.
  public var state: String {
    switch self {
    case .completed: "completed"
    case .stopped: "stopped"
    case .failed: "failed"
    }
  }

  var reason: String {
    switch self {
    case .completed(let reason), .stopped(let reason), .failed(let reason): reason
    }
  }
}

/// Where a run stands.
public struct RunRow: Sendable, Equatable {
  public var run: RunRecord
  /// The term of the coordinator that works, or worked last, on the run; 0 before the first.
  public var term: UInt64
  /// `running`, `completed`, `stopped` or `failed`. A coordinator that was killed leaves `running`.
  public var state: String
  public var reason: String?
  public var lastStep: Int
}

/// One committed optimizer step.
public struct StepRecord: Sendable, Equatable {
  /// 1-based.
  public var step: Int
  /// Mean loss in nats over the step's trained tokens; nil if it was not computed.
  public var loss: Double?
  /// The step's trained tokens.
  public var tokens: Int
  /// The scheduled base rate, before tier scales.
  public var learningRate: Double
  /// The norm before clipping over the gradients about to be applied; 0 without an active tier.
  public var gradNorm: Double
  public var activeTiers: [Int]
  /// SHA-256 (hex) of the state after the step; a replayed step must give the same.
  public var digest: String
  /// How long the step took, on a monotonic clock.
  public var seconds: Double
  public var committedAt: Timestamp
  /// The step's row of train_metrics.jsonl.
  public var metrics: JSONValue

  public init(
    step: Int, loss: Double?, tokens: Int, learningRate: Double, gradNorm: Double, activeTiers: [Int],
    digest: String, seconds: Double, committedAt: Timestamp = .now(), metrics: JSONValue
  ) {
    self.step = step
    self.loss = loss
    self.tokens = tokens
    self.learningRate = learningRate
    self.gradNorm = gradNorm
    self.activeTiers = activeTiers
    self.digest = digest
    self.seconds = seconds
    self.committedAt = committedAt
    self.metrics = metrics
  }
}

/// A tier as it stands: its period, and which version of its parameters is the newest.
public struct TierVersionRecord: Sendable, Equatable {
  public var tier: Int
  /// The period f_k: the tier is updated every so many steps.
  public var frequency: Int
  /// How many numbers its parameters hold.
  public var parameterCount: Int
  /// The number of updates applied.
  public var version: Int
  /// SHA-256 (hex) of the tier's parameters.
  public var digest: String

  public init(tier: Int, frequency: Int, parameterCount: Int, version: Int, digest: String) {
    self.tier = tier
    self.frequency = frequency
    self.parameterCount = parameterCount
    self.version = version
    self.digest = digest
  }
}

/// One hand-out of a tier shard: who computed what, when, how long, and what became of it.
public struct AssignmentRow: Sendable, Equatable {
  /// The term in which the shard was handed out; with the attempt it identifies the hand-out.
  public var term: UInt64
  public var attempt: Int
  /// `train`, `evaluate`, or one of those for windows: see SCHEMA.md.
  public var purpose: String
  public var step: Int
  public var firstMicroBatch: Int
  /// Inclusive.
  public var lastMicroBatch: Int
  public var tiers: [Int]
  public var worker: Int
  public var handedOutAt: Timestamp
  public var finishedAt: Timestamp?
  /// Between hand-out and end, on the coordinator's monotonic clock.
  public var seconds: Double?
  /// `committed`, or why it was not: `duplicate`, `stale`, `corrupt`, `lost`, `expired`, ….
  public var outcome: String
  /// Whether a worker of another identity came to the same bytes.
  public var verified: Bool

  public init(
    term: UInt64, attempt: Int, purpose: String, step: Int, firstMicroBatch: Int, lastMicroBatch: Int,
    tiers: [Int], worker: Int, handedOutAt: Timestamp, finishedAt: Timestamp?, seconds: Double?,
    outcome: String, verified: Bool = false
  ) {
    self.term = term
    self.attempt = attempt
    self.purpose = purpose
    self.step = step
    self.firstMicroBatch = firstMicroBatch
    self.lastMicroBatch = lastMicroBatch
    self.tiers = tiers
    self.worker = worker
    self.handedOutAt = handedOutAt
    self.finishedAt = finishedAt
    self.seconds = seconds
    self.outcome = outcome
    self.verified = verified
  }
}

/// A worker that was welcomed. Ids are given anew in each term.
public struct WorkerRecord: Sendable, Equatable {
  public var term: UInt64
  public var id: Int
  /// Its public key, or `host/pid` without one.
  public var identity: String
  public var host: String
  public var pid: Int
  public var threads: Int
  public var isa: String
  public var numericProfile: String
  public var program: String
  /// Whether the coordinator started it.
  public var isLocal: Bool
  public var joinedAt: Timestamp

  public init(
    term: UInt64, id: Int, identity: String? = nil, host: String, pid: Int, threads: Int, isa: String,
    numericProfile: String, program: String, isLocal: Bool, joinedAt: Timestamp = .now()
  ) {
    self.term = term
    self.id = id
    self.identity = identity ?? "\(host)/\(pid)"
    self.host = host
    self.pid = pid
    self.threads = threads
    self.isa = isa
    self.numericProfile = numericProfile
    self.program = program
    self.isLocal = isLocal
    self.joinedAt = joinedAt
  }
}

/// One evaluation over the validation rows, after the step that it names.
public struct EvaluationRecord: Sendable, Equatable {
  public var step: Int
  /// Mean loss in nats over `tokens`.
  public var loss: Double
  public var perplexity: Double
  public var tokens: Int
  /// Whether it is the lowest loss of the run so far.
  public var isBest: Bool
  public var seconds: Double
  public var evaluatedAt: Timestamp
  /// The evaluation's row of eval_metrics.jsonl.
  public var metrics: JSONValue

  public init(
    step: Int, loss: Double, perplexity: Double, tokens: Int, isBest: Bool, seconds: Double,
    evaluatedAt: Timestamp = .now(), metrics: JSONValue
  ) {
    self.step = step
    self.loss = loss
    self.perplexity = perplexity
    self.tokens = tokens
    self.isBest = isBest
    self.seconds = seconds
    self.evaluatedAt = evaluatedAt
    self.metrics = metrics
  }
}

/// A checkpoint folder that exists.
public struct CheckpointRecord: Sendable, Equatable {
  /// Relative to the run folder, as in `checkpoints/best`.
  public var path: String
  public var step: Int
  public var isBest: Bool
  public var isFinal: Bool
  /// The lowest validation loss when it was written, if there was an evaluation.
  public var bestValidationLoss: Double?
  public var writtenAt: Timestamp

  public init(
    path: String, step: Int, isBest: Bool, isFinal: Bool, bestValidationLoss: Double?,
    writtenAt: Timestamp = .now()
  ) {
    self.path = path
    self.step = step
    self.isBest = isBest
    self.isFinal = isFinal
    self.bestValidationLoss = bestValidationLoss
    self.writtenAt = writtenAt
  }
}

/// A snapshot in the run's `state` folder, from which the run can go on.
public struct SnapshotRecord: Sendable, Equatable {
  /// The last step whose result it holds.
  public var step: Int
  /// SHA-256 (hex) of its manifest, which names it in the `state` folder.
  public var manifest: String
  /// What its manifest and blobs hold together.
  public var bytes: Int
  public var writtenAt: Timestamp

  public init(step: Int, manifest: String, bytes: Int, writtenAt: Timestamp = .now()) {
    self.step = step
    self.manifest = manifest
    self.bytes = bytes
    self.writtenAt = writtenAt
  }
}

/// What happened to a worker, to be recorded with the next commit or before it.
public enum WorkerNote: Sendable, Equatable {
  /// It was welcomed. Hand-outs that name it are recorded after this.
  case joined(WorkerRecord)
  /// It is gone, and why.
  case left(id: Int, reason: String, at: Timestamp)
  /// Its results were found wrong.
  case quarantined(QuarantineRecord)
}

/// An identity that is never admitted again.
public struct QuarantineRecord: Sendable, Equatable {
  public var identity: String
  public var term: UInt64
  public var worker: Int
  public var reason: String
  public var at: Timestamp

  public init(identity: String, term: UInt64, worker: Int, reason: String, at: Timestamp = .now()) {
    self.identity = identity
    self.term = term
    self.worker = worker
    self.reason = reason
    self.at = at
  }
}

/// Why a run went back.
public enum ReturnReason: String, Sendable {
  /// Results that nobody verified came from an identity in quarantine.
  case unverified
  /// Somebody asked for it.
  case byHand = "by hand"
}

/// A return of the run to an earlier step.
public struct ReturnRecord: Sendable, Equatable {
  public var term: UInt64
  public var reason: ReturnReason
  /// Whose results were not to be trusted; empty for a return by hand.
  public var identity: String
  /// The first step with an unverified result of it; for a return by hand the first that became void.
  public var firstUnverifiedStep: Int
  /// The last committed step before and after.
  public var fromStep: Int
  public var toStep: Int
  public var voidedSteps: Int
  public var voidedEvaluations: Int
  public var voidedResults: Int
  public var at: Timestamp
}

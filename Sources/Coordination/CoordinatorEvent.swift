import WireProtocol

/// What a result says, without its bytes: these stay with whoever received them.
public struct ResultSummary: Sendable, Hashable {
  public struct Object: Sendable, Hashable {
    public let name: String
    public let sha256: String
    public let byteCount: Int

    public init(name: String, sha256: String, byteCount: Int) {
      self.name = name
      self.sha256 = sha256
      self.byteCount = byteCount
    }
  }

  public let attempt: Int
  public let lossSum: Double
  public let tokens: Int
  public let seconds: Double
  /// Steps of the computation; 0 if they were not counted.
  public let progress: Int
  /// Ordered by name.
  public let objects: [Object]
  /// Whether digests of the objects came without their bytes.
  public let isDigestOnly: Bool
  /// Whether the objects' bytes are here; not those of an offer that was refused.
  public let hasBytes: Bool
  /// Whether every number of the objects is finite, as far as their bytes are here.
  public let isFinite: Bool
  /// What the worker holds of windows.
  public let windows: [WindowReport]

  public init(
    attempt: Int, lossSum: Double, tokens: Int, seconds: Double, progress: Int = 0, objects: [Object],
    isDigestOnly: Bool = false, hasBytes: Bool = true, isFinite: Bool = true, windows: [WindowReport] = []
  ) {
    self.attempt = attempt
    self.lossSum = lossSum
    self.tokens = tokens
    self.seconds = seconds
    self.progress = progress
    self.objects = objects.sorted { $0.name < $1.name }
    self.isDigestOnly = isDigestOnly
    self.hasBytes = hasBytes && !isDigestOnly
    self.isFinite = isFinite
    self.windows = windows
  }

  public init(_ message: ResultMessage) {
    let objects = message.gradients.map(\.values) + message.chains.map(\.values)
    self.init(
      attempt: message.attempt, lossSum: message.lossSum, tokens: message.tokens, seconds: message.seconds,
      progress: message.progress,
      objects: message.gradients.map {
        Object(name: $0.values.name, sha256: $0.values.sha256, byteCount: $0.values.byteCount)
      } + message.digests.map { Object(name: $0.name, sha256: $0.sha256, byteCount: $0.byteCount) }
        + message.chains.map {
          Object(name: $0.values.name, sha256: $0.values.sha256, byteCount: $0.values.byteCount)
        },
      isDigestOnly: !message.digests.isEmpty, hasBytes: objects.allSatisfy(\.isHere),
      isFinite: objects.allSatisfy(\.hasFiniteFloats), windows: message.windows)
  }

  /// Whether two results say the same, bit for bit; the time that they took may differ.
  public func agrees(with other: ResultSummary) -> Bool {
    lossSum.bitPattern == other.lossSum.bitPattern && tokens == other.tokens && word == other.word
  }
}

/// A tier's parameters as they are now.
public struct TierVersion: Sendable, Hashable {
  /// Number of updates applied.
  public var version: Int
  public var digest: String

  public init(version: Int, digest: String) {
    self.version = version
    self.digest = digest
  }
}

/// Everything that can happen to a coordinator.
public enum CoordinatorEvent: Sendable {
  /// HELLO came. `key` is the public key that the connection was let in with, if it has one; `term` is the highest that
  /// the worker's process has seen, 0 if it is new.
  case hello(peer: PeerID, Hello, key: String? = nil, term: UInt64 = 0)
  /// READY came, in this session.
  case ready(peer: PeerID, session: SessionID, Ready)
  /// PROBE_RESULT came.
  case probed(peer: PeerID, session: SessionID, sha256: String)
  /// Anything else came that needs no answer by the core (PING and the like). The other events count as a sign of
  /// life by themselves.
  case heard(peer: PeerID, session: SessionID)
  /// ACCEPT came.
  case accepted(peer: PeerID, session: SessionID, attempt: Int)
  /// DECLINE came.
  case declined(peer: PeerID, session: SessionID, attempt: Int, reason: String)
  /// LEASE_RENEW came: so many steps of the attempt are done.
  case renewed(peer: PeerID, session: SessionID, attempt: Int, progress: Int)
  /// CANCELLED came.
  case cancelled(peer: PeerID, session: SessionID, attempt: Int)
  /// Bytes of something large went to a worker or came from it, for an attempt if it is known for which.
  case moved(peer: PeerID, session: SessionID, attempt: Int?)
  /// MODEL_CREDIT came: the worker is fetching the base model, or waits while another on its machine does.
  case fetched(peer: PeerID, session: SessionID, ModelFetchState)
  /// A result was offered whose bytes are worth sending, as far as `verdict` can tell. It is to be held until the effects
  /// hold `credit` or `refuse` for it.
  case offered(peer: PeerID, session: SessionID, term: UInt64, ResultSummary)
  /// RESULT came. If the effects hold `keepPayload` for its attempt, its bytes are to be kept, otherwise dropped.
  case result(peer: PeerID, session: SessionID, term: UInt64, ResultSummary)
  /// ERROR came: for an attempt, or, without one, for the worker as a whole. `isNotFinite`: the attempt has come to a
  /// number that is not finite, and the reason says to which.
  case workerError(
    peer: PeerID, session: SessionID, attempt: Int?, reason: String, isNotFinite: Bool = false)
  /// The connection is gone, a message could not be delivered or was refused, or the local process died.
  case peerLost(peer: PeerID, reason: String)
  /// GOODBYE or DRAINED came.
  case goodbye(peer: PeerID, session: SessionID)
  /// Tiers have new parameters (all tiers, at the start). Only while no unit is open.
  case parametersChanged([Int: TierVersion])
  /// What is here of windows, at the start and after a return; all that workers keep is void. Only while no unit is
  /// open.
  case windows(WindowTracker?)
  /// This is to be computed next. Only while no unit is open.
  case open(WorkUnit)
  /// What windows lack is to be brought here; answered by `windowsComplete`, or by a unit that brings some of it. Only
  /// while no unit is open.
  case completeWindows(WindowRequest)
  /// From now on a unit that nobody is there to compute is closed at once: `unitLeft`.
  case hurry
  /// The open unit is not needed any more.
  case abandon
  /// A chain of this worker's is not what its own gradients add up to, for this reason. Only while no unit is open.
  case distrust(workerID: Int, identity: String, reason: String)
  /// What the unit came to is durable. To be said after its `unitComplete`, before the next unit is opened.
  case committed(WorkUnit)
  /// The time that was asked for by `armTimer` has come (an early or extra one does no harm). To be said after the
  /// messages that have come meanwhile, so that nobody who was only waiting to be read is taken for silent.
  case timer
  /// Finish the open unit if there are workers for it, then send the workers away; `drained` follows in bounded time.
  /// Also after `fail`.
  case drain
}

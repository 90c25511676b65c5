import Coordination
import NestedLearning
import WireProtocol

/// A fleet with one run and a pen: takes events at given times and writes down, line by line, what is to be done.
struct Scene {
  static let model = String(repeating: "a", count: 64)

  var core: OneRun
  /// Sessions by peer, as they were given.
  var sessions: [String: SessionID] = [:]
  /// The last assignment of each peer.
  var assignments: [String: Assignment] = [:]

  /// - Parameter tiers: numbers of values.
  init(tiers: [Int] = [3, 1], _ change: (inout OneRun.Settings) -> Void = { _ in }) {
    var settings = OneRun.Settings(
      run: SchedulerSettings(
        term: 4, run: "run", tierParameterCounts: tiers, modelSHA256: Scene.model, numericProfile: "f32-1"))
    change(&settings)
    core = OneRun(settings)
  }

  mutating func at(_ seconds: Double, _ event: SceneEvent) -> String {
    let effects = core.step(event, now: .zero + seconds)
    for effect in effects {
      switch effect {
      case .welcome(let peer, let session, _, _): sessions["\(peer)"] = session
      case .work(_, .assign(let peer, _, let assignment)): assignments["\(peer)"] = assignment
      default: break
      }
    }
    return effects.compactMap(Scene.line).joined(separator: "\n")
  }

  func session(_ peer: String) -> SessionID { sessions[peer] ?? .none }

  /// - Parameter process: tells workers of one machine apart.
  static func hello(local: Int? = nil, process: Int = 1, host: String = "h") -> Hello {
    Hello(
      program: "nl-worker", numericProfile: "f32-1", isa: "avx2", threads: 1, host: host, processID: process,
      localIndex: local)
  }

  static func versions(_ versions: [Int]) -> SceneEvent {
    .parametersChanged(
      Dictionary(
        uniqueKeysWithValues: versions.enumerated().map { ($0, TierVersion(version: $1, digest: "v\($1)")) }))
  }

  mutating func hello(_ seconds: Double, _ peer: String, local: Int? = nil) -> String {
    at(
      seconds,
      .hello(peer: PeerID(peer), Scene.hello(local: local, process: Int(peer.utf8.first ?? 0) - 96)))
  }

  /// A worker on a machine of its own, or with a key, that is ready.
  mutating func join(
    _ seconds: Double, _ peer: String, host: String? = nil, process: Int = 1, key: String? = nil,
    local: Int? = nil, term: UInt64 = 0
  ) -> String {
    var hello = Scene.hello(local: local, process: process, host: host ?? peer)
    if term > 0 { hello.terms = ["run": term] }
    return at(seconds, .hello(peer: PeerID(peer), hello, key: key)) + "\n" + ready(seconds, peer)
  }

  /// ERROR for the last assignment of a peer.
  mutating func fails(
    _ seconds: Double, _ peer: String, _ reason: String = "no memory", isNotFinite: Bool = false
  ) -> String {
    at(
      seconds,
      .workerError(
        peer: PeerID(peer), session: session(peer), attempt: assignments[peer]?.attempt, reason: reason,
        isNotFinite: isNotFinite))
  }

  mutating func ready(_ seconds: Double, _ peer: String) -> String {
    at(seconds, .ready(peer: PeerID(peer), session: session(peer), Ready(modelSHA256: Scene.model)))
  }

  mutating func heard(_ seconds: Double, _ peer: String) -> String {
    at(seconds, .heard(peer: PeerID(peer), session: session(peer)))
  }

  /// Workers that have joined and loaded at time 0, and parameters at version 0: where most stories begin.
  mutating func begin(_ peers: String...) { begin(peers) }

  mutating func begin(_ peers: [String]) {
    _ = at(0, Scene.versions(core.settings.tierParameterCounts.map { _ in 0 }))
    for peer in peers {
      _ = hello(0, peer)
      _ = ready(0, peer)
    }
  }

  /// The right result of the last assignment of a peer. A micro-batch has 2 tokens, and its number as its loss.
  func result(
    _ peer: String, loss: Double? = nil, digest: String = "d", progress: Int = 0, hasBytes: Bool = true,
    isFinite: Bool = true, windows: [WindowReport] = []
  ) -> ResultSummary {
    guard let assignment = assignments[peer] else {
      return ResultSummary(attempt: 0, lossSum: 0, tokens: 0, seconds: 0, objects: [])
    }
    let leaves = assignment.shard.node.leaves(count: assignment.unit.leafCount)
    let expected = assignment.expectedObjects(tierParameterCounts: core.settings.tierParameterCounts)
    return ResultSummary(
      attempt: assignment.attempt, lossSum: loss ?? Double(leaves.reduce(0, +)), tokens: 2 * leaves.count,
      seconds: 1, progress: progress,
      objects: expected.map { .init(name: $0, sha256: digest, byteCount: $1) },
      isDigestOnly: assignment.digestOnly, hasBytes: hasBytes, isFinite: isFinite, windows: windows)
  }

  mutating func result(
    _ seconds: Double, _ peer: String, loss: Double? = nil, digest: String = "d", progress: Int = 0,
    isFinite: Bool = true, term: UInt64 = 4
  ) -> String {
    at(
      seconds,
      .result(
        peer: PeerID(peer), session: session(peer), term: term,
        result(peer, loss: loss, digest: digest, progress: progress, isFinite: isFinite)))
  }

  /// Nil: it says what another has said, that a worker of the run is gone.
  static func line(_ effect: FleetEffect) -> String? {
    switch effect {
    case .work(_, let effect): line(effect)
    case .welcome(let peer, _, _, _): "welcome \(peer)"
    case .reject(let peer, let code, let reason): "reject \(peer), \(code.rawValue): \(reason)"
    case .leaveRun(let peer, _, let run): "\(peer) leaves \(run)"
    case .sendDrain(let peer, _): "drain \(peer)"
    case .memberLeft: nil
    case .log(let line): "log: \(line)"
    case .closed: "closed"
    case .armTimer(let instant): "timer \(instant)"
    }
  }

  static func line(_ effect: SchedulerEffect) -> String {
    switch effect {
    case .keepPayload(let attempt, _, _, _): "keep \(attempt)"
    case .discardPayload(let attempt): "discard \(attempt)"
    case .record(let record):
      "record \(record.attempt): \(record.purpose.rawValue) \(record.step), \(record.firstMicroBatch)–"
        + "\(record.lastMicroBatch), tiers \(record.tiers), worker \(record.workerID), \(record.handedOut) to "
        + "\(record.finished), \(record.outcome.rawValue)\(record.verified ? ", verified" : "")"
    case .enterRun(let peer, _, let id): "\(peer) enters as worker \(id)"
    case .reject(let peer, let code, let reason): "reject \(peer), \(code.rawValue): \(reason)"
    case .sendParameters(let peer, _, let tier, let version):
      "parameters to \(peer): tier \(tier), version \(version)"
    case .sendWindow(let peer, _, let keys, let through):
      "window \(peer) \(keys.map { "\($0.tier).\($0.microBatch)" }.joined(separator: " ")) through \(through)"
    case .assign(let peer, _, let assignment):
      "assign to \(peer): attempt \(assignment.attempt), \(assignment.shard.name(in: assignment.unit))"
        + (assignment.digestOnly ? ", digests alone" : "")
    case .acknowledge(let peer, _, let attempt, let outcome):
      "acknowledge \(peer): attempt \(attempt) \(outcome.rawValue)"
    case .probe(let peer, _): "probe \(peer)"
    case .cancel(let peer, _, let attempt): "cancel \(peer): attempt \(attempt)"
    case .credit(let peer, _, let attempt): "credit \(peer): attempt \(attempt)"
    case .refuse(let peer, _, let attempt, let outcome):
      "refuse \(peer): attempt \(attempt) \(outcome.rawValue)"
    case .quarantine(let id, let identity, let reason): "quarantine worker \(id), \(identity): \(reason)"
    case .workerReady(let id): "worker \(id) is ready"
    case .workerLeft(let id, _, let reason, _): "worker \(id) is gone: \(reason)"
    case .log(let line): "log: \(line)"
    case .unitComplete(let done):
      "complete: \(done.unit), loss \(done.lossSum), \(done.tokens) tokens, attempts \(done.results.map(\.attempt))"
    case .unitLeft(let unit): "left: \(unit)"
    case .windowsComplete(let step): "windows are complete, parameters are needed from step \(step)"
    case .windowsLost: "windows are lost"
    case .drained: "drained"
    case .fail(let reason): "fail: \(reason)"
    }
  }
}

extension WorkUnit {
  static func step(_ step: Int, leaves: Int, tiers: [Int] = [0, 1], window: Bool = false) -> SceneEvent {
    .open(
      WorkUnit(
        purpose: .train, step: step, leafCount: leaves, dueTiers: tiers, window: window,
        trainedTokens: Array(repeating: 2, count: leaves)))
  }
}

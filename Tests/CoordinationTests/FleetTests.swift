import NestedLearning
import Randomness
import Testing
import WireProtocol

@testable import Coordination

/// Several runs and the workers that they share.
@Suite struct FleetTests {
  /// A fleet and a pen.
  struct Scene {
    static let model = String(repeating: "a", count: 64)

    var fleet = FleetCore(settings: FleetSettings(sessionSeed: 1), now: .zero)
    var sessions: [String: SessionID] = [:]
    /// The last assignment of each peer, and the run that it is of.
    var assignments: [String: (run: RunNumber, assignment: Assignment)] = [:]

    mutating func at(_ seconds: Double, _ event: FleetEvent) -> [String] {
      let effects = fleet.step(event, now: .zero + seconds)
      for effect in effects {
        switch effect {
        case .welcome(let peer, let session, _, _): sessions["\(peer)"] = session
        case .work(let run, .assign(let peer, _, let assignment)):
          assignments["\(peer)"] = (run, assignment)
        default: break
        }
      }
      return effects.compactMap(Self.line)
    }

    /// Timers, acknowledgements and what a run does for itself are left out.
    static func line(_ effect: FleetEffect) -> String? {
      switch effect {
      case .work(let run, .enterRun(let peer, _, let id)): "\(peer) enters \(run) as worker \(id)"
      case .work(let run, .assign(let peer, _, let assignment)):
        "\(peer) computes \(assignment.shard.name(in: assignment.unit)) of \(run)"
      case .work(let run, .unitComplete(let done)): "\(run): \(done.unit) is complete"
      case .work(let run, .fail(let reason)): "\(run) fails: \(reason)"
      case .work(let run, .quarantine(let id, let identity, _)):
        "\(run): worker \(id), \(identity), is in quarantine"
      case .work(let run, .drained): "\(run) is over"
      case .work(_, .acknowledge(let peer, _, let attempt, .stale)): "\(peer): attempt \(attempt) is stale"
      case .leaveRun(let peer, _, let run): "\(peer) leaves \(run)"
      case .reject(let peer, let code, _): "\(peer) is refused: \(code.rawValue)"
      case .memberLeft(_, let peer, _, let reason): "\(peer) is gone: \(reason)"
      case .sendDrain(let peer, _): "\(peer) is sent away"
      case .closed: "closed"
      case .work, .welcome, .log, .armTimer: nil
      }
    }

    mutating func begin(
      _ number: UInt32, at seconds: Double = 0, model: String = Scene.model, profile: String = "f32-1",
      _ change: (inout SchedulerSettings) -> Void = { _ in }
    ) -> [String] {
      var settings = SchedulerSettings(
        term: UInt64(number) * 10, run: "run \(number)", tierParameterCounts: [3], modelSHA256: model,
        numericProfile: profile)
      change(&settings)
      let run = RunNumber(number)
      return at(seconds, .begin(run, settings))
        + at(seconds, .requested(run, .parametersChanged([0: TierVersion(version: 0, digest: "v")])))
    }

    func work(_ number: UInt32) -> RunTerm { RunTerm(RunNumber(number), term: UInt64(number) * 10) }

    mutating func joins(
      _ peer: String, at seconds: Double = 0, profiles: [String] = ["f32-1"], model: String? = nil,
      key: String? = nil
    ) -> [String] {
      var hello = Hello(
        program: "nl-worker", numericProfile: profiles[0], isa: "avx2", threads: 1, host: peer, processID: 1,
        numericProfiles: profiles)
      hello.modelSHA256 = model
      return at(seconds, .hello(peer: PeerID(peer), hello, key: key))
    }

    mutating func says(_ peer: String, _ run: UInt32, at seconds: Double, _ report: WorkerReport) -> [String]
    {
      at(
        seconds,
        .reported(peer: PeerID(peer), session: sessions[peer] ?? .none, work: work(run), report))
    }

    mutating func ready(_ peer: String, _ run: UInt32, at seconds: Double, model: String = Scene.model)
      -> [String]
    {
      says(peer, run, at: seconds, .ready(Ready(modelSHA256: model)))
    }

    mutating func opens(_ run: UInt32, step: Int, leaves: Int, at seconds: Double) -> [String] {
      let unit = WorkUnit(
        purpose: .train, step: step, leafCount: leaves, dueTiers: [0],
        trainedTokens: Array(repeating: 2, count: leaves))
      return at(seconds, .requested(RunNumber(run), .open(unit)))
    }

    /// The right result of the last assignment of a peer.
    func result(_ peer: String, digest: String = "d") -> WorkerReport {
      guard let (run, assignment) = assignments[peer] else { return .moved(attempt: nil) }
      let leaves = assignment.shard.node.leaves(count: assignment.unit.leafCount)
      let counts = fleet.runs[run]?.scheduler.settings.tierParameterCounts ?? []
      return .result(
        ResultSummary(
          attempt: assignment.attempt, lossSum: 1, tokens: 2 * leaves.count, seconds: 1,
          objects: assignment.expectedObjects(tierParameterCounts: counts).map {
            .init(name: $0, sha256: digest, byteCount: $1)
          }, isDigestOnly: assignment.digestOnly))
    }

    func members(of run: UInt32) -> Set<String> {
      Set(fleet.members.values.filter { $0.place?.run == RunNumber(run) }.map { "\($0.peer)" })
    }
  }

  /// Three workers, two runs: the first has two of them, the second one. Who comes goes where one is lacking.
  @Test func sharing() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.begin(2)
    #expect(scene.joins("a") == ["a enters run 1 as worker 1"])
    #expect(scene.joins("b") == ["b enters run 2 as worker 1"])
    #expect(scene.joins("c") == ["c enters run 1 as worker 2"])
    #expect(scene.joins("d") == ["d enters run 2 as worker 2"])
    // One that goes is replaced where that makes the shares even.
    _ = scene.at(1, .peerLost(peer: PeerID("a"), reason: "x"))
    #expect(scene.members(of: 1) == ["c", "d"] && scene.members(of: 2) == ["b"])
  }

  /// A worker that has the model of a run which still waits is not sent away for the sake of those that are at work; once
  /// no more are to come, it is.
  @Test func aModelOfARunToCome() {
    let other = String(repeating: "b", count: 64)
    var scene = Scene()
    _ = scene.at(0, .expectsRuns(true))
    _ = scene.begin(1)
    #expect(scene.joins("b", model: other) == [])
    #expect(scene.begin(2, at: 1, model: other) == ["b enters run 2 as worker 1"])
    _ = scene.at(2, .expectsRuns(false))
    #expect(scene.joins("c", at: 2, model: String(repeating: "c", count: 64)) == ["c is refused: model"])
  }

  /// A worker that computes goes to another run when it is done, and not before: nothing is computed for nothing.
  @Test func nothingInHandIsLost() {
    var scene = Scene()
    _ = scene.begin(1)
    for peer in ["a", "b"] {
      _ = scene.joins(peer)
      _ = scene.ready(peer, 1, at: 0)
    }
    _ = scene.opens(1, step: 1, leaves: 4, at: 1)
    #expect(scene.begin(2, at: 2) == [])
    #expect(scene.members(of: 2).isEmpty)
    let said = scene.says("b", 1, at: 3, scene.result("b"))
    #expect(said == ["b leaves run 1", "b enters run 2 as worker 1"])
    // The other one finishes the step alone.
    #expect(scene.says("a", 1, at: 4, scene.result("a")) == ["run 1: step 1 is complete"])
    #expect(
      scene.opens(1, step: 2, leaves: 2, at: 5) == [
        "a computes micro-batches 0–1 of step 2, tiers [0] of run 1"
      ])
  }

  /// While a run rests others have its workers; when it goes on, it has its share again.
  @Test func resting() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.begin(2)
    for peer in ["a", "b", "c", "d"] { _ = scene.joins(peer) }
    #expect(scene.members(of: 1) == ["a", "c"])
    _ = scene.at(1, .rest(RunNumber(1), true))
    #expect(scene.members(of: 1).isEmpty && scene.members(of: 2).count == 4)
    let said = scene.at(2, .rest(RunNumber(1), false))
    #expect(said.filter { $0.contains("enters run 1") }.count == 2)
    #expect(scene.members(of: 1).count == 2 && scene.members(of: 2).count == 2)
    // Alone, it keeps them: nobody else wants them.
    var alone = Scene()
    _ = alone.begin(1)
    _ = alone.joins("a")
    #expect(alone.at(1, .rest(RunNumber(1), true)) == [])
    #expect(alone.members(of: 1) == ["a"])
  }

  /// With fewer workers than runs the later ones wait for their turn, not for workers: they do not fail for it.
  @Test func moreRunsThanWorkers() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.begin(2)
    _ = scene.joins("a")
    _ = scene.ready("a", 1, at: 0)
    #expect(scene.opens(2, step: 1, leaves: 1, at: 1) == [])
    #expect(scene.fleet.status(of: RunNumber(2))?.run == .waiting)
    #expect(scene.fleet.status(of: RunNumber(2))?.deadline == nil)
    for second in stride(from: 2.0, to: 1000, by: 1) {
      _ = scene.at(second, .heard(peer: PeerID("a"), session: scene.sessions["a"] ?? .none))
      #expect(scene.at(second, .timer) == [])
    }
    #expect(
      scene.at(1000, .requested(RunNumber(1), .close)) == [
        "a leaves run 1", "run 1 is over", "a enters run 2 as worker 1",
      ])
    #expect(scene.ready("a", 2, at: 1001) == ["a computes micro-batch 0 of step 1, tiers [0] of run 2"])
    // Without any worker at all it is the old wait, with its end.
    var empty = Scene()
    _ = empty.begin(1)
    _ = empty.begin(2)
    _ = empty.opens(2, step: 1, leaves: 1, at: 1)
    #expect(empty.fleet.status(of: RunNumber(2))?.deadline == Instant.zero + 601)
  }

  /// A worker that is of use to no run at work is nobody's share: the run that lacks one for that reason waits for its
  /// turn. A run that nobody who is there is of use to waits for workers, and not for the end of others.
  @Test func turnsAreOfWorkersThatFit() {
    let other = String(repeating: "b", count: 64)
    var scene = Scene()
    _ = scene.at(0, .expectsRuns(true))
    for run in 1...2 as ClosedRange<UInt32> { _ = scene.begin(run) }
    #expect(scene.joins("stranger", model: other) == [])
    #expect(scene.joins("a") == ["a enters run 1 as worker 1"])
    _ = scene.opens(2, step: 1, leaves: 1, at: 1)
    #expect(scene.fleet.status(of: RunNumber(2))?.deadline == nil)
    _ = scene.begin(3, at: 2, profile: "bf16-1")
    _ = scene.opens(3, step: 1, leaves: 1, at: 2)
    #expect(scene.fleet.status(of: RunNumber(3))?.deadline == Instant.zero + 602)
    // The stranger finds its run: the shares come out even, and the second run's worker is with the first all the same.
    #expect(scene.begin(4, at: 3, model: other) == ["stranger enters run 4 as worker 1"])
    #expect(scene.fleet.status(of: RunNumber(2))?.deadline == nil)
    #expect(
      scene.at(4, .requested(RunNumber(1), .close)) == [
        "a leaves run 1", "run 1 is over", "a enters run 2 as worker 1",
      ])
  }

  /// Who cannot compute a run's numbers, or has another model, is no help to it; who fits none is refused.
  @Test func whoFitsWhat() {
    var scene = Scene()
    let other = String(repeating: "b", count: 64)
    _ = scene.begin(1)
    _ = scene.begin(2, model: other, profile: "bf16-1")
    #expect(scene.joins("a") == ["a enters run 1 as worker 1"])
    #expect(scene.joins("b") == ["b enters run 1 as worker 2"])
    #expect(scene.joins("c", profiles: ["f32-1", "bf16-1"], model: other) == ["c enters run 2 as worker 1"])
    #expect(
      scene.joins("d", profiles: ["f32-1", "bf16-1"], model: Scene.model).last?.contains("run 1") == true)
    #expect(scene.joins("e", profiles: ["other"]) == ["e is refused: numeric_profile"])
    #expect(scene.joins("f", model: String(repeating: "c", count: 64)) == ["f is refused: model"])
    // The first run's end helps the second by nothing but what fits.
    _ = scene.at(1, .requested(RunNumber(1), .close))
    #expect(scene.members(of: 2) == ["c"])
  }

  /// What is said of a run that a worker is not in, or in another term, is not used.
  @Test func otherRunsAndTerms() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.begin(2)
    for (peer, run) in [("a", 1), ("b", 2)] as [(String, UInt32)] {
      _ = scene.joins(peer)
      _ = scene.ready(peer, run, at: 0)
    }
    _ = scene.opens(1, step: 1, leaves: 1, at: 1)
    let result = scene.result("a")
    let session = scene.sessions["a"] ?? .none
    for work in [RunTerm(RunNumber(1), term: 11), RunTerm(RunNumber(2), term: 20), .none] {
      let said = scene.at(2, .reported(peer: PeerID("a"), session: session, work: work, result))
      #expect(said == ["a: attempt 1 is stale"])
    }
    // Another run's worker knows nothing of this attempt.
    #expect(scene.says("b", 2, at: 2, result) == ["b: attempt 1 is stale"])
    #expect(scene.says("a", 1, at: 3, result) == ["run 1: step 1 is complete"])
  }

  /// Who has come to a wrong result in one run is trusted in none, and its results in the others are looked into.
  @Test func quarantineIsOfAllRuns() {
    var scene = Scene()
    _ = scene.begin(1) { $0.verifyFraction = 1 }
    for peer in ["a", "b", "c"] {
      _ = scene.joins(peer, key: "key of \(peer)")
      _ = scene.ready(peer, 1, at: 0)
    }
    _ = scene.begin(2)
    // b has been in the second run, and comes back.
    _ = scene.at(0.1, .rest(RunNumber(1), true))
    _ = scene.at(0.2, .rest(RunNumber(1), false))
    for peer in scene.members(of: 1).sorted() { _ = scene.ready(peer, 1, at: 0.3) }
    #expect(scene.members(of: 1).count == 2)
    _ = scene.opens(1, step: 1, leaves: 1, at: 1)
    let first = scene.members(of: 1).sorted()
    _ = scene.says(first[0], 1, at: 2, scene.result(first[0], digest: "wrong"))
    _ = scene.says(first[1], 1, at: 2, scene.result(first[1]))
    // A third one decides.
    _ = scene.at(2.5, .rest(RunNumber(2), true))
    let third = scene.members(of: 1).subtracting(first).first ?? ""
    _ = scene.ready(third, 1, at: 3)
    let said = scene.says(third, 1, at: 4, scene.result(third))
    #expect(said.contains { $0.hasPrefix("run 1: worker") && $0.contains("key of \(first[0])") })
    #expect(said.contains { $0.hasPrefix("run 2: worker") && $0.contains("key of \(first[0])") })
    #expect(said.contains { $0.hasPrefix("\(first[0]) is gone: quarantined") })
    #expect(scene.joins("x", at: 5, key: "key of \(first[0])") == ["x is refused: quarantined"])
    // And whom a run's record has in quarantine, the fleet has.
    _ = scene.begin(3, at: 6) { $0.quarantined = ["key of \(third)"] }
    #expect(!scene.fleet.members.values.contains { $0.owner.identity == "key of \(third)" })
  }

  /// A coordinator that stood still hears first what has come meanwhile.
  @Test func aStallOfItsOwn() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.joins("a")
    _ = scene.ready("a", 1, at: 0)
    #expect(scene.at(20, .timer) == [], "the timer was due at 6 s")
    #expect(scene.at(22.9, .timer) == [])
    #expect(scene.at(23, .timer) == ["a is gone: nothing was heard of it for 6 s"])
  }

  /// A part of a message keeps its worker as long as a whole one would.
  @Test func aMessageThatTakesLong() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.joins("a")
    _ = scene.ready("a", 1, at: 0)
    #expect(scene.at(5, .arriving(peer: PeerID("a"))) == [])
    #expect(scene.at(5.5, .leaving(peer: PeerID("a"))) == [], "its kernel is not it")
    #expect(scene.at(5, .arriving(peer: PeerID("nobody"))) == [])
    #expect(scene.at(6, .timer) == [])
    #expect(scene.at(10.9, .timer) == [])
    #expect(scene.at(11, .timer) == ["a is gone: nothing was heard of it for 6 s"])
  }

  /// Two have come to different results, and the only other worker is another run's: it is lent, and goes back. Found by
  /// seed 4001155 of the simulation.
  @Test func anArbiterOfAnotherRun() {
    var scene = Scene()
    _ = scene.begin(1) { $0.verifyFraction = 1 }
    for peer in ["a", "b"] { _ = scene.joins(peer) }
    _ = scene.begin(2)
    _ = scene.joins("c")
    _ = scene.at(0, .peerLost(peer: PeerID("c"), reason: "x"))
    #expect(scene.members(of: 1) == ["a"] && scene.members(of: 2) == ["b"])
    _ = scene.joins("c")
    #expect(scene.members(of: 1) == ["a", "c"])
    for (peer, run) in [("a", 1), ("b", 2), ("c", 1)] as [(String, UInt32)] {
      _ = scene.ready(peer, run, at: 0)
    }
    _ = scene.opens(2, step: 1, leaves: 1, at: 0)
    _ = scene.says("b", 2, at: 0, scene.result("b"))
    _ = scene.opens(1, step: 1, leaves: 1, at: 1)
    _ = scene.says("a", 1, at: 1, scene.result("a", digest: "one"))
    _ = scene.says("c", 1, at: 1, scene.result("c", digest: "two"))
    #expect(scene.members(of: 1) == ["a", "b", "c"])
    _ = scene.ready("b", 1, at: 2)
    let lines = scene.says("b", 1, at: 2, scene.result("b", digest: "two"))
    #expect(lines.contains("run 1: worker 1, a/1, is in quarantine"))
    // The others have told no more than digests.
    #expect(lines.contains("c computes micro-batch 0 of step 1, tiers [0] of run 1"))
    #expect(
      scene.says("c", 1, at: 3, scene.result("c", digest: "two")).contains("run 1: step 1 is complete"))
    #expect(scene.members(of: 2).count == 1, "it has its share again")
  }

  /// Nobody is sent away while a run is there; then all are, in bounded time.
  @Test func closing() {
    var scene = Scene()
    _ = scene.begin(1)
    _ = scene.joins("a")
    #expect(scene.at(1, .close) == [])
    #expect(scene.joins("b", at: 2) == ["b is refused: draining"])
    #expect(
      scene.at(3, .requested(RunNumber(1), .close)) == ["a leaves run 1", "run 1 is over", "a is sent away"])
    #expect(scene.at(4, .goodbye(peer: PeerID("a"), session: scene.sessions["a"] ?? .none)).last == "closed")
  }

  /// Whatever runs begin, rest, go on and end, and whoever comes and goes: every worker that fits a run that wants some
  /// works, and no run has fewer than its share while another has more.
  @Test func sharesAreEven() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = CounterRandom(seed: seed, purpose: .verification, 0, 0)
    func below(_ n: Int) -> Int { Int(random.unit() * Double(n)) }
    var scene = Scene()
    var (next, resting, peers, joined): (UInt32, Set<UInt32>, [String], Int) = (1, [], [], 0)
    var alive: [UInt32] = []
    for round in 0..<3000 {
      let second = Double(round) * 0.01
      switch below(6) {
      case 0 where alive.count < 5:
        _ = scene.begin(next, at: second)
        alive.append(next)
        next += 1
      case 1 where !alive.isEmpty:
        let run = alive[below(alive.count)]
        let rests = resting.insert(run).inserted
        if !rests { resting.remove(run) }
        _ = scene.at(second, .rest(RunNumber(run), rests))
      case 2 where !alive.isEmpty && below(3) == 0:
        let run = alive.remove(at: below(alive.count))
        resting.remove(run)
        _ = scene.at(second, .requested(RunNumber(run), .close))
      case 3 where !peers.isEmpty:
        _ = scene.at(second, .peerLost(peer: PeerID(peers.remove(at: below(peers.count))), reason: "x"))
      default:
        guard peers.count < 12 else { break }
        joined += 1
        peers.append("p\(joined)")
        _ = scene.joins("p\(joined)", at: second)
      }
      let counts = alive.filter { !resting.contains($0) }.map { scene.members(of: $0).count }
      guard !counts.isEmpty else { continue }
      #expect(counts.reduce(0, +) == peers.count, "seed \(seed), round \(round)")
      #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "seed \(seed), round \(round): \(counts)")
    }
  }
}

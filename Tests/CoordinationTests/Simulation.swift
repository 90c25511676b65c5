import Coordination
import NestedLearning
import Protocol

/// A run on a simulated network with simulated workers: real cores, real codec, one seed. Faults of every kind come
/// until `faultsUntil`; then the run has to finish. Connections keep the order of messages, as TCP does; what is sent
/// over a connection that was cut is gone.
struct Simulation {
  struct Outcome {
    var steps: [Int: CompletedUnit] = [:]
    var problems: [String] = []
    var finished = false
    var faults: [String: Int] = [:]
    var handOuts = 0
    var seconds = 0.0
  }

  enum Happening {
    case toCoordinator(PeerID, [[UInt8]])
    case toWorker(Int, connection: Int, [[UInt8]])
    case coordinatorTimer(generation: Int)
    case workerTimer(Int, life: Int, generation: Int)
    case worker(Int, life: Int, WorkerEvent)
    case start(Int)
    case fault
  }

  struct Process {
    var core: WorkerCore
    var alive = false
    /// Counts the processes that had this place.
    var life = 0
    var connection = 0
    var cut = false
    var timer = 0
    var frozenUntil = 0.0
    /// Version of each tier, as set by messages.
    var versions: [Int: Int] = [:]
    /// When the job at hand was begun.
    var begun = 0.0
    var sent: UInt64 = 0
  }

  static let tiers = [2, 1, 3]
  static let model = String(repeating: "a", count: 64)

  let seed: UInt64
  let lastStep: Int
  let faultsUntil: Double
  var random: SplitMix64
  var now = 0.0
  var agenda = Agenda<Happening>()
  var core: CoordinatorCore
  var timer = 0
  var stalledUntil = 0.0
  var workers: [Process] = []
  var versions: [Int]
  var payloads: [Int: ResultMessage] = [:]
  var arriving: ResultMessage?
  var recorded = Set<Int>()
  var handedOut = Set<Int>()
  var lastDelivery: [PeerID: Double] = [:]
  var sentTo: [PeerID: UInt64] = [:]
  var outcome = Outcome()

  init(seed: UInt64) {
    self.seed = seed
    random = SplitMix64(state: seed)
    lastStep = Int.random(in: 1...12, using: &random)
    faultsUntil = Double.random(in: 0...120, using: &random)
    var settings = CoordinatorSettings(
      term: 1, tierParameterCounts: Self.tiers, modelSHA256: Self.model, numericProfile: "p",
      sessionSeed: seed)
    settings.shardByTier = Int.random(in: 0..<4, using: &random) == 0
    settings.probeSHA256 = Self.model
    settings.initialLeaseSeconds = 20
    settings.loadSeconds = 20
    // Here every hand-out may fail; that a poison shard stops the run is another test's subject.
    settings.maximumAttempts = .max
    core = CoordinatorCore(settings: settings, now: .zero)
    versions = Self.tiers.map { _ in 0 }
    for place in 0..<Int.random(in: 1...6, using: &random) {
      workers.append(Process(core: Simulation.worker(place)))
      agenda.add(.start(place), at: chance(0.5) ? 0 : Double.random(in: 0...30, using: &random))
    }
    agenda.add(.fault, at: 0.5)
  }

  static func worker(_ place: Int) -> WorkerCore {
    WorkerCore(
      settings: WorkerSettings(
        hello: Hello(
          program: "w", numericProfile: "p", isa: "i", threads: 1, host: "h\(place)", processID: 1,
          localIndex: place % 2 == 0 ? place : nil), endpoint: "sim"))
  }

  mutating func chance(_ probability: Double) -> Bool {
    Double.random(in: 0..<1, using: &random) < probability
  }

  /// The loss of a micro-batch: any number will do, if it does not add up exactly.
  static func loss(step: Int, leaf: Int) -> Double { 1 / Double(3 + step * 17 + leaf) }

  /// The gradient of a tier over some node: any number, the same whoever computes it.
  static func gradient(step: Int, tier: Int, leaf: Int) -> [Float] {
    (0..<tiers[tier]).map { 1 / Float(7 + step + 31 * tier + 5 * leaf + $0) }
  }

  mutating func unit(_ step: Int) -> WorkUnit {
    // Drawn from the step alone, so that an observer can tell what is right.
    var local = SplitMix64(state: seed ^ UInt64(step))
    let leaves = Int.random(in: 1...9, using: &local)
    if step % 4 == 3 { return WorkUnit(purpose: .evaluate, step: step, leafCount: leaves, dueTiers: []) }
    let due = Self.tiers.indices.filter { _ in Bool.random(using: &local) }
    return WorkUnit(
      purpose: .train, step: step, leafCount: leaves, dueTiers: due, window: Bool.random(using: &local))
  }

  mutating func run() -> Outcome {
    coordinator(.parametersChanged(parameters))
    coordinator(.open(unit(1)))
    while !outcome.finished, outcome.problems.isEmpty, let (time, next) = agenda.next() {
      now = max(now, time)
      if now > 5000 { outcome.problems.append("not finished after 5000 s: \(core.status)") }
      take(next)
    }
    outcome.seconds = now
    if recorded != handedOut {
      outcome.problems.append("attempts without an end: \(handedOut.subtracting(recorded))")
    }
    if !payloads.isEmpty { outcome.problems.append("payloads left over: \(payloads.keys.sorted())") }
    return outcome
  }

  var parameters: [Int: TierVersion] {
    Dictionary(
      uniqueKeysWithValues: versions.enumerated().map { ($0, TierVersion(version: $1, digest: Self.model)) })
  }

  private mutating func take(_ happening: Happening) {
    switch happening {
    case .toCoordinator, .coordinatorTimer:
      if stalledUntil > now { return agenda.add(happening, at: stalledUntil) }
    case .toWorker(let place, _, _), .workerTimer(let place, _, _), .worker(let place, _, _):
      if workers[place].frozenUntil > now { return agenda.add(happening, at: workers[place].frozenUntil) }
    case .start, .fault: break
    }
    switch happening {
    case .toCoordinator(let peer, let frames): receive(frames, from: peer)
    case .toWorker(let place, let connection, let frames):
      guard workers[place].alive, workers[place].connection == connection, !workers[place].cut else { return }
      do {
        let (envelope, message) = try MessageDecoder.decode(frames: frames)
        worker(place, .message(envelope, message))
      } catch {
        outcome.problems.append("worker \(place): \(error)")
      }
    case .coordinatorTimer(let generation): if generation == timer { coordinator(.timer) }
    case .workerTimer(let place, let life, let generation):
      if workers[place].life == life, workers[place].timer == generation { worker(place, .timer) }
    case .worker(let place, let life, let event): if workers[place].life == life { worker(place, event) }
    case .start(let place): start(place)
    case .fault: fault()
    }
  }
}

/// What will happen, by time; at the same time, in the order in which it was added.
struct Agenda<Happening> {
  private var heap: [(time: Double, order: Int, happening: Happening)] = []
  private var added = 0

  mutating func add(_ happening: Happening, at time: Double) {
    heap.append((time, added, happening))
    added += 1
    var child = heap.count - 1
    while child > 0, precedes(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func next() -> (time: Double, happening: Happening)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < heap.count }
        guard let child = children.min(by: { precedes($0, $1) }), precedes(child, parent) else { break }
        heap.swapAt(child, parent)
        parent = child
      }
    }
    return (first.time, first.happening)
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order)
  }
}

struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

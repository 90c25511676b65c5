import NestedLearning
import Service
import Transport
import WireProtocol

/// What is simulated: the training, the machines, and what may go wrong until when. Decided by a seed, or put together
/// by hand for one row of a fault matrix. Times are in simulated seconds.
public struct Scenario: Sendable {
  /// One worker's place: processes come and go there.
  struct WorkerPlan: Sendable {
    /// Its public key; nil if it has none.
    var key: String?
    /// The run whose model it has in a folder of its own, so that it takes part in no other; nil if it takes any.
    var ownModel: RunNumber?
    /// It has to fetch the base models.
    var fetchesModels = false
    /// Started by the coordinator, dies with it, and its death is seen at once.
    var isLocal = false
    var starts = 0.0
    /// × the time of a shard.
    var slowness = 1.0
    /// Has another numeric profile.
    var isStranger = false
    /// Its arithmetic gives other bits, which the probe shows.
    var computesOtherwise = false
    /// The probability that it comes to a wrong result, which it does with a shard as a whole: see `Lie`.
    var lies = 0.0
    /// The probability that it cannot compute a shard.
    var fails = 0.0
    /// It goes on failing when faults have stopped.
    var neverHeals = false
    /// The probability that it says GOODBYE when it is given a shard, and joins again at once.
    var quits = 0.0
    /// The probability that a message of its is altered before it is encoded.
    var alters = 0.0
    /// The same of its HELLO, and the probability that it says HELLO once more before a message, whatever it is in.
    var altersHello = 0.0
    var repeatsHello = 0.0
  }

  /// What may happen to messages, each with its probability, until faults stop.
  struct NetworkFaults: Sendable {
    var lost = 0.0
    var duplicated = 0.0
    var reordered = 0.0
    var delayed = 0.0
    var damaged = 0.0
    /// The longest delay.
    var delaySeconds = 5.0
  }

  public let seed: UInt64
  /// The first run, and those that come after it in the queue.
  var problem: ToyProblem
  var others: [ToyProblem] = []
  /// All keys of workers, and when each is put on the list of those that are let in.
  var keys: [String: Double] = [:]
  /// Workers of one key that the fleet takes.
  var workersOfKey = 64
  /// Runs that are at work together.
  var parallelRuns = 1
  var workers: [WorkerPlan]

  // Without any fault.
  var latencySeconds = 0.0005
  /// Bytes in a second, of each worker's line in each direction.
  var bandwidth = 1e8
  /// A micro-batch, on an ordinary worker.
  var computeSeconds = 0.1
  var loadSeconds = 0.5
  /// A transaction, up to and with its fsync.
  var diskSeconds = 0.002
  /// A snapshot, which is then taken so seldom that it costs little.
  var snapshotSeconds = 0.005
  /// From the coordinator's end to its next start.
  var restartSeconds = 1.0
  var initialLeaseSeconds = 300.0
  var transport = TransportOptions()

  // Faults.
  var faultsUntil = 0.0
  var network = NetworkFaults()
  /// Kinds of incidents, and the mean time between two of them.
  var incidents: [FaultKind] = []
  var incidentSeconds = 5.0
  /// A shard's probability of failing on a worker.
  var computeErrors = 0.0
  /// The coordinator's probability of being killed at each persist and each send.
  var killsAtPersist = 0.0
  var killsAtSend = 0.0
  /// Kill it at exactly this persist, or send, counted over the whole run from 1.
  var killAtPersistNumber: Int?
  var killAtSendNumber: Int?
  /// A run's probability of failing at each piece of arithmetic on its state.
  var engineFailures = 0.0
  /// The probability that a connection is cut over a chunk of the base model.
  var cutsAtChunk = 0.0
  /// How workers ask for the base model.
  var fetchLimits = FileRequest.Limits()
  /// Whether workers are left to join again when the runs are stopped.
  var keepsWorkersAtStop = false
  /// Whether the run has real files, which its coordinator's code writes.
  var hasStore = false
  /// The probability that a bit of a stored file has flipped when the run is taken, and that its state cannot be read.
  var rot = 0.0
  var readErrors = 0.0
  /// The probability that something is wrong with its disk, at each write.
  var faultsAtPersist = 0.0
  /// What happens at a given time rather than at random.
  var planned: [(time: Double, kind: FaultKind, place: Int, seconds: Double)] = []
  /// After faults have stopped, the run has to end within this time and what its steps take.
  var graceSeconds = 120.0

  init(seed: UInt64, problem: ToyProblem, workers: [WorkerPlan]) {
    self.seed = seed
    self.problem = problem
    self.workers = workers
  }
}

extension Scenario {
  /// The scenario of a seed. Each seed has its own few kinds of faults, because many kinds at once hide what one of
  /// them does; most seeds are short, one in a hundred is long.
  ///
  /// - Parameter withFiles: the run has real files, whatever the seed says; nine of ten have none otherwise.
  public init(seed: UInt64, withFiles: Bool = false) throws {
    var random = SplitMix64(seed: SplitMix64.mix(seed &+ 0x5EED))
    let isLong = Int.random(in: 0..<100, using: &random) == 0
    let problem = try ToyProblem.random(seed: seed, isLong: isLong, using: &random)
    let count =
      random.chance(0.1) ? Int.random(in: 5...10, using: &random) : Int.random(in: 1...4, using: &random)
    self.init(
      seed: seed, problem: problem,
      workers: (0..<count).map { _ in
        WorkerPlan(
          isLocal: random.chance(0.4), slowness: random.chance(0.15) ? random.logarithmic(1...8) : 1)
      })
    latencySeconds = random.logarithmic(0.0001...0.05)
    bandwidth = random.logarithmic(1e4...1e9)
    computeSeconds = random.logarithmic(0.01...0.8)
    loadSeconds = random.logarithmic(0.05...4)
    diskSeconds = random.logarithmic(0.0005...0.02)
    snapshotSeconds = random.logarithmic(0.001...0.5)
    restartSeconds = random.logarithmic(0.2...8)
    initialLeaseSeconds = random.chance(0.5) ? 300 : 10
    // Was once a setting; drawn all the same, so that older seeds remain what they were.
    _ = random.chance(0.5)
    addFaults(isLong: isLong, using: &random)
    // From a stream of its own, so that older seeds without these remain what they were.
    var more = SplitMix64(seed: SplitMix64.mix(seed &+ 0x11E5))
    if more.chance(0.25) { addLiars(using: &more) }
    if more.chance(0.2) {
      // Was once which workers speak an older version.
      for worker in workers where !worker.isStranger && !worker.computesOtherwise { _ = more.chance(0.5) }
    }
    if more.chance(0.3) { incidents.append(.diskFault) }
    // A tier has at most 40 bytes here.
    if more.chance(0.3) { transport.transfers.inlineBytes = Int.random(in: 0...40, using: &more) }
    if more.chance(0.2) { incidents.append(.runStopped) }
    if more.chance(0.2) { incidents.append(.runPaused) }
    // Each of them is followed by a snapshot, after which little is left to replay.
    if more.chance(0.6) { self.problem.config.checkpointEvery = 1000 }
    if more.chance(0.3) { self.problem.config.lossEvery = Int.random(in: 2...5, using: &more) }
    if more.chance(0.03) { self.problem.config.gradientAccumulationSteps = 64 }
    if more.chance(0.01) { addCrowd(using: &more) }
    var machines = SplitMix64(seed: SplitMix64.mix(seed &+ 0xFA11))
    addUselessMachines(using: &machines)
    var hostile = SplitMix64(seed: SplitMix64.mix(seed &+ 0x405711E))
    if hostile.chance(0.1) { addHostileWorkers(using: &hostile) }
    if hostile.chance(0.1) { incidents.append(.burst) }
    if machines.chance(0.08) { addUnverifiedLiars(using: &machines) }
    var store = SplitMix64(seed: SplitMix64.mix(seed &+ 0xD15C))
    let isDrawn = store.chance(0.1)
    if isDrawn || withFiles { addStore(using: &store) }
    var queue = SplitMix64(seed: SplitMix64.mix(seed &+ 0x0_0E0E))
    var keys = SplitMix64(seed: SplitMix64.mix(seed &+ 0x4E15))
    if workers.count < 200 {
      if keys.chance(0.08) { addHostileHellos(using: &keys) }
      if keys.chance(0.25) { addKeys(using: &keys) }
    }
    if !isLong, workers.count < 200, queue.chance(0.12) { try addRuns(using: &queue) }
    if incidents.contains(.runStopped) {
      var stops = SplitMix64(seed: SplitMix64.mix(seed &+ 0x570B5))
      keepsWorkersAtStop = stops.chance(0.3)
    }
    var models = SplitMix64(seed: SplitMix64.mix(seed &+ 0x40DE1))
    if workers.count < 200, models.chance(0.12) { addModelFetches(using: &models) }
    var hopeless = SplitMix64(seed: SplitMix64.mix(seed &+ 0x40BE_1E55))
    if workers.count < 200, hopeless.chance(0.06) { addHopelessMachine(using: &hopeless) }
    var pair = SplitMix64(seed: SplitMix64.mix(seed &+ 0x2_11A25))
    if workers.count < 200, pair.chance(0.02) { addLyingPair(using: &pair) }
  }

  var problems: [ToyProblem] { [problem] + others }

  private mutating func addFaults(isLong: Bool, using random: inout SplitMix64) {
    faultsUntil =
      isLong ? Double.random(in: 60...200, using: &random) : Double.random(in: 3...40, using: &random)
    func some(_ range: ClosedRange<Double>) -> Double {
      random.chance(0.25) ? Double.random(in: range, using: &random) : 0
    }
    network = NetworkFaults(
      lost: some(0...0.3), duplicated: some(0...0.5), reordered: some(0...0.3), delayed: some(0...0.3),
      damaged: some(0...0.05))
    incidents = FaultKind.incidents.filter { _ in random.chance(0.3) }
    incidentSeconds = random.logarithmic(0.5...10)
    computeErrors = some(0...0.2)
    killsAtPersist = some(0...0.05)
    killsAtSend = some(0...0.03)
    for place in workers.indices where !workers[place].isLocal && random.chance(0.3) {
      workers[place].starts = Double.random(in: 0...faultsUntil, using: &random)
    }
    if random.chance(0.1) { workers.append(WorkerPlan(isStranger: true)) }
    if random.chance(0.1) { workers.append(WorkerPlan(computesOtherwise: true)) }
  }
}

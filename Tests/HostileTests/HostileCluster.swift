import Harness
import NestedLearning
import Transport
import WireProtocol

@testable import Coordination
@testable import Service

/// A coordinator and three workers in memory, joined by the real codec and the real links. It is a value: a copy goes
/// its own way, which is how one message is sent in many forms at the same state.
struct HostileCluster {
  enum Item {
    case packet(Packet)
    case coordinatorTimer(Int)
    case workerTimer(place: Int, Instant)
    case workerEvent(place: Int, session: SessionID, WorkerEvent)
    case jobDone(place: Int, job: Int)
    case disconnected(connection: Int)
    case tick
  }

  struct Packet {
    let toCoordinator: Bool
    let connection: Int
    let frames: [[UInt8]]
  }

  /// What became of the messages that were put in.
  struct Counts {
    var sent = 0
    var refusedByCodec = 0
    var refusedByLink = 0
    var reachedCore = 0

    static func += (a: inout Counts, b: Counts) {
      a.sent += b.sent
      a.refusedByCodec += b.refusedByCodec
      a.refusedByLink += b.refusedByLink
      a.reachedCore += b.reachedCore
    }
  }

  static let model = String(repeating: "a", count: 64)
  static let probe = String(repeating: "b", count: 64)

  var random: SplitMix64
  let options: TransportOptions
  var now = Instant.zero
  var items: [(time: Instant, order: Int, item: Item)] = []
  var order = 0
  var turnsAtOnce = 0

  var core: OneRun
  var ends: [Int: LinkEnd] = [:]
  var timer = 0
  var refused: [(peer: PeerID, envelope: Envelope, result: ResultSummary)] = []
  var run: HostileRun
  var shelf: [Int: ModelReader] = [:]

  var workers: [HostileWorker]
  var connections = 0
  /// By connection: the worker's place.
  var owners: [Int: Int] = [:]

  var ending: String?
  var counts = Counts()
  var problems: [String] { run.problems }

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
    var options = TransportOptions()
    options.transfers.inlineBytes = [0, 8, 262_144][random.next(below: 3)]
    self.options = options
    var settings = OneRun.Settings(
      run: SchedulerSettings(
        term: 4, run: "run", tierParameterCounts: HostileRun.counts, modelSHA256: Self.model,
        numericProfile: "f32-1"))
    settings.sessionSeed = random.next()
    settings.probeSHA256 = Self.probe
    settings.verifyFraction = [0, 0, 0.4, 1][random.next(below: 4)]
    settings.verifySeed = random.next()
    settings.noWorkerSeconds = 60
    settings.initialLeaseSeconds = 20
    settings.loadSeconds = 30
    settings.shardByTier = random.next(below: 2) == 0
    core = OneRun(settings)
    run = HostileRun(usesWindows: random.next(below: 6) > 0)
    workers = (0..<3).map { HostileWorker(place: $0, options: options) }
    begin()
  }

  mutating func begin() {
    for worker in workers { tell(worker.place, .start) }
    handle(.parametersChanged(Dictionary(uniqueKeysWithValues: run.tiers.enumerated().map { ($0, $1) })))
    if run.usesWindows {
      handle(
        .windows(
          WindowTracker(
            clock: HostileRun.clock, microBatchCount: HostileRun.microBatchCount,
            alwaysSeparate: core.settings.verifyFraction >= 1)))
    }
    goOn()
    add(.tick, after: 5)
  }

  // MARK: - Time

  mutating func add(_ item: Item, after seconds: Double) { add(item, at: now + seconds) }

  mutating func add(_ item: Item, at time: Instant) {
    guard time != .never else { return }
    order += 1
    items.append((max(time, now), order, item))
  }

  /// What happens next; nil once all is over.
  mutating func next() -> Item? {
    guard ending == nil,
      let place = items.indices.min(by: {
        (items[$0].time, items[$0].order) < (items[$1].time, items[$1].order)
      })
    else { return nil }
    let (time, _, item) = items.remove(at: place)
    turnsAtOnce = time > now ? 0 : turnsAtOnce + 1
    now = time
    return item
  }

  mutating func take(_ item: Item, isHostile: Bool = false) {
    switch item {
    case .packet(let packet): arrive(packet, isHostile: isHostile)
    case .coordinatorTimer(let number): if number == timer { handle(.timer) }
    case .workerTimer(let place, let time): if workers[place].timer == time { tell(place, .timer) }
    case .workerEvent(let place, let session, let event):
      if workers[place].core.session == session { tell(place, event) }
    case .jobDone(let place, let job): if let event = workers[place].finish(job) { tell(place, event) }
    case .disconnected(let connection):
      ends[connection] = nil
      handle(.peerLost(peer: peer(connection), reason: "the connection has ended"))
    case .tick:
      for connection in ends.keys.sorted() where ends[connection]?.stall(now: seconds) != nil {
        ends[connection] = nil
        handle(.peerLost(peer: peer(connection), reason: "a transfer stands still"))
      }
      for place in workers.indices where workers[place].end.stall(now: seconds) != nil {
        tell(place, .connectionFailed(reason: "a transfer stands still"))
      }
      add(.tick, after: 5)
    }
  }

  var seconds: Double { now.seconds(since: .zero) }
  func peer(_ connection: Int) -> PeerID { PeerID("c\(connection)") }
}

import Coordination
import Training
import Transport
import WireProtocol

@testable import Service

/// A worker of a hostile cluster: the real core, link and chains, and arithmetic of a few numbers.
struct HostileWorker {
  let place: Int
  var core: WorkerCore
  var end: LinkEnd
  /// Number of its connection.
  var connection = 0
  var chains = WorkerChains()
  var counts: [Int] = []
  var layout: TierLayout?
  var job: (number: Int, message: AssignMessage)?
  var timer = Instant.never
  var isGone = false

  init(place: Int, options: TransportOptions) {
    self.place = place
    let hello = Hello(
      program: "nl-worker", numericProfile: "f32-1", isa: "avx2", threads: 1, host: "h\(place)",
      processID: place + 1)
    core = WorkerCore(settings: WorkerSettings(hello: hello, endpoint: "tcp://h:1"))
    end = .worker(options)
  }

  /// - Returns: what the job at hand came to.
  mutating func finish(_ number: Int) -> WorkerEvent? {
    guard let job, job.number == number else { return nil }
    self.job = nil
    do {
      return .computed(
        job: number, try ToyGradients.compute(job.message, counts: counts, chains: &chains))
    } catch { return .computeFailed(job: number, reason: "\(error)") }
  }

  mutating func load(_ run: EnterRun) {
    chains.removeAll()
    layout = TierLayout(run)
    // Whoever loads a model sees that these are its tensors; what is larger than any of them is refused there.
    counts = run.tiers.map { tier in min(64, tier.reduce(0) { $0 + min(64, $1.count) }) }
  }

  mutating func take(_ window: WindowMessage) {
    guard let layout else { return }
    try? chains.take(window, layout: layout)
  }
}

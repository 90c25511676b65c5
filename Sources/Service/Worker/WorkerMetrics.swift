import Coordination
import CoreMetrics
import Observability

/// What a worker counts for `/metrics`. Belongs to the thread that owns its socket.
final class WorkerMetrics {
  private let registry: MetricsRegistry
  private let connected, busy: Meter
  private let tokens: Counter
  private let seconds: any FloatingPointCounterHandler

  init(_ registry: MetricsRegistry) {
    self.registry = registry
    registry.describe("nl_worker_connected", "1 while the worker has been let in by a coordinator.")
    registry.describe("nl_worker_computing", "1 while the worker computes a shard.")
    registry.describe("nl_worker_shards_total", "Shards that the worker was given, by what came of them.")
    registry.describe("nl_worker_compute_seconds_total", "Time spent computing shards.")
    registry.describe("nl_worker_trained_tokens_total", "Tokens in the shards that were computed.")
    connected = Meter(label: "nl_worker_connected", factory: registry)
    busy = Meter(label: "nl_worker_computing", factory: registry)
    tokens = Counter(label: "nl_worker_trained_tokens_total", factory: registry)
    seconds = registry.makeFloatingPointCounter(label: "nl_worker_compute_seconds_total", dimensions: [])
    tokens.increment(by: 0)
    for outcome in ["computed", "stopped", "failed"] { shards(outcome).increment(by: 0) }
  }

  private func shards(_ outcome: String) -> Counter {
    Counter(label: "nl_worker_shards_total", dimensions: [("outcome", outcome)], factory: registry)
  }

  func count(_ event: WorkerEvent) {
    switch event {
    case .computed(_, let result):
      shards("computed").increment()
      tokens.increment(by: result.tokens)
      seconds.increment(by: result.seconds)
    case .stopped: shards("stopped").increment()
    case .computeFailed: shards("failed").increment()
    default: break
    }
  }

  func show(_ state: WorkerCore.State) {
    switch state {
    case .computing, .leaving: set(connected: 1, busy: 1)
    case .waiting, .loading, .ready: set(connected: 1, busy: 0)
    case .started, .greeting, .gone: set(connected: 0, busy: 0)
    }
  }

  private func set(connected: Int, busy: Int) {
    self.connected.set(connected)
    self.busy.set(busy)
  }
}

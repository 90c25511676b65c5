import Foundation
import JSON
import Observability
import Synchronization
import WireProtocol

/// How much memory a run's processes have: this one, and its workers by what they last said. Looked up once a second at
/// most; whoever asks in between gets the same. Workers are heard of on the fleet's thread, and steps are written on another.
final class MemoryWatch: Sendable {
  private struct State: Sendable {
    var workers: [PeerID: Int] = [:]
    var own: Int?
    var looked: ContinuousClock.Instant?
  }

  private static let pause = Duration.seconds(1)
  private let state = Mutex(State())

  func says(_ peer: PeerID, _ bytes: Int) { state.withLock { $0.workers[peer] = bytes } }

  func left(_ peer: PeerID) { _ = state.withLock { $0.workers.removeValue(forKey: peer) } }

  /// What a worker last said; nil if it has said nothing.
  func bytes(of peer: PeerID) -> Int? { state.withLock { $0.workers[peer] } }

  /// For a step's row of metrics: `coordinator`, `workers` (together) and `largest_worker`, in bytes; nil where nothing
  /// of it is known.
  var json: JSONValue? {
    let now = ContinuousClock.now
    let (own, workers) = state.withLock { state in
      if state.looked.map({ now - $0 >= Self.pause }) ?? true {
        (state.own, state.looked) = (ProcessMetrics.residentBytes(), now)
      }
      return (state.own, Array(state.workers.values))
    }
    guard own != nil || !workers.isEmpty else { return nil }
    return [
      "coordinator": own.map { .number($0) } ?? .null,
      "workers": workers.isEmpty ? .null : .number(workers.reduce(0, +)),
      "largest_worker": workers.max().map { .number($0) } ?? .null,
    ]
  }
}

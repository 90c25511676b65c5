import Coordination
import Transport

/// Tells of refused connections in at most one line in so many seconds, however many there are.
struct RefusalLog {
  private static let seconds = 10.0
  private static let shownKeys = 4

  private var pending: [Refusal] = []
  private var count = 0
  private var lastSaid: Instant?

  /// Takes what came, and returns the line that is due, if any.
  mutating func line(_ refusals: [Refusal], count more: Int, now: Instant) -> String? {
    count += more
    for refusal in refusals where pending.count < Self.shownKeys && !pending.contains(refusal) {
      pending.append(refusal)
    }
    guard count > 0, lastSaid.map({ now.seconds(since: $0) >= Self.seconds }) ?? true else { return nil }
    defer {
      pending = []
      count = 0
      lastSaid = now
    }
    let who = pending.map { refusal in
      let key = refusal.key.map { "the public key \($0)" } ?? "no proper request"
      return refusal.address.isEmpty ? key : "\(key) from \(refusal.address)"
    }
    return
      "refused \(count) connection\(count == 1 ? "" : "s"): \(who.joined(separator: ", ")); "
      + "to let a worker join, add its public key to the file of --allow-keys"
  }
}

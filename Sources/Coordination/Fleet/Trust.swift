import WireProtocol

/// How often in a row the workers of one identity have failed, and until when they are left alone.
struct Backoff: Sendable {
  var failures = 0
  var until = Instant.zero
  /// The last failure, and whether it was that the worker was lost.
  var reason = ""
  var isLoss = false
  /// How many losses were no more than those of a connection, since the last right result.
  var forgiven = 0

  /// After so many a connection that breaks is no excuse.
  static let mostForgiven = 10
}

/// What is known of those whose workers have computed, whichever run it was for.
struct Trust: Sendable {
  /// By identity; only those whose last attempt failed.
  var backoffs: [String: Backoff] = [:]
  /// Hosts whose workers have no key, and on which one has come to a right result.
  var provenHosts = Set<String>()
  /// Identities whose workers have come to a wrong result.
  var quarantined = Set<String>()
}

/// Leaving alone those that keep failing.
extension ShardScheduler {
  /// A worker failed at its shard, or was lost over it.
  mutating func noteFailure(of attempt: Attempt, reason: String, isLoss: Bool = false, now: Instant) {
    var trouble = trust.backoffs[attempt.identity] ?? Backoff()
    trouble.failures += 1
    trouble.reason = reason
    trouble.isLoss = isLoss
    if trouble.failures > 1 {
      let seconds = settings.cooldownSeconds * Double(1 << min(trouble.failures - 2, 20))
      trouble.until = now + min(seconds, settings.maximumCooldownSeconds)
    }
    trust.backoffs[attempt.identity] = trouble
    forgetOldBackoffs(now: now)
  }

  /// Identities may come and go without end. Of those that are not here, and whose time is over, a number is
  /// remembered; then those go whose time is over soonest.
  private mutating func forgetOldBackoffs(now: Instant) {
    guard trust.backoffs.count > 4 * settings.maximumWorkers else { return }
    let present = Set(workers.values.map(\.identity))
    let absent = trust.backoffs.filter { !present.contains($0.key) }
      .sorted { ($0.value.until, $0.key) < ($1.value.until, $1.key) }
    for (identity, _) in absent.prefix(trust.backoffs.count - 2 * settings.maximumWorkers) {
      trust.backoffs[identity] = nil
    }
  }

  /// What was taken for its end was that of a connection.
  mutating func forgiveLoss(of identity: String) {
    guard var trouble = trust.backoffs[identity], trouble.isLoss, trouble.forgiven < Backoff.mostForgiven
    else {
      return
    }
    trouble.failures -= 1
    trouble.forgiven += 1
    trouble.isLoss = false
    trouble.until = .zero
    trust.backoffs[identity] = trouble
  }

  /// It came to a right result.
  mutating func noteSuccess(of attempt: Attempt) {
    trust.backoffs[attempt.identity] = nil
    noteProof(of: attempt.owner)
  }

  /// Until when a worker gets no work; nil if it may have some.
  func cooldown(of worker: Worker, now: Instant) -> Instant? {
    guard let until = trust.backoffs[worker.identity]?.until, until > now else { return nil }
    return until
  }

  /// Whether a worker waits for work.
  func isIdle(_ worker: Worker, now: Instant) -> Bool {
    worker.state == .ready && !promised.contains(worker.id) && cooldown(of: worker, now: now) == nil
  }

  /// Workers that wait for work, the fastest first.
  func idleWorkers(now: Instant) -> [Int] {
    workers.values.filter { isIdle($0, now: now) }
      .sorted { ($0.pace, $0.id) < ($1.pace, $1.id) }.map(\.id)
  }

  /// When the next worker may be given work again.
  func cooldownDeadline(now: Instant) -> Instant {
    guard !trust.backoffs.isEmpty else { return .never }
    return workers.values.compactMap { $0.state == .ready ? cooldown(of: $0, now: now) : nil }.min() ?? .never
  }
}

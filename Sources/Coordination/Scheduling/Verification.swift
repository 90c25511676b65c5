import NestedLearning
import Randomness
import WireProtocol

/// Computing twice, and what follows when two differ.
extension ShardScheduler {
  /// Whether a shard is among those that are computed twice: by its place in the run alone, so that no worker can tell
  /// or bring about which.
  func check(of shard: Shard, in unit: WorkUnit) -> ShardProgress.Check {
    if unit.isVerified { return .demanded }
    guard settings.verifyFraction > 0 else { return .none }
    guard settings.verifyFraction < 1 else { return .demanded }
    let place =
      UInt64(truncatingIfNeeded: shard.node.level) << 56
      ^ UInt64(truncatingIfNeeded: shard.tiers.first ?? 0) << 40 ^ (unit.purpose == .train ? 0 : 1 << 39)
      ^ UInt64(truncatingIfNeeded: shard.node.index)
    var random = CounterRandom(
      seed: settings.verifySeed, purpose: .verification, UInt64(truncatingIfNeeded: unit.step), place)
    return random.unit() < settings.verifyFraction ? .sampled : .none
  }

  /// Those of the workers here who may still have a say in a shard: they have had none, and have not failed at it.
  private func arbiters(of progress: ShardProgress, among present: Set<String>) -> Set<String> {
    let others = present.subtracting(progress.voters)
    return progress.failures.isEmpty
      ? others : others.subtracting(progress.failures.owners.map(\.identity))
  }

  /// Where nobody else is there to compare with, or all that are have failed at it or keep failing, a shard that was only
  /// chosen by lot is not held up.
  mutating func waiveChecks(now: Instant) {
    guard let open, open.hasChecks else { return }
    let present = Set(usableWorkers.filter { cooldown(of: $0, now: now) == nil }.map(\.identity))
    for (place, progress) in open.shards.enumerated()
    where progress.check == .sampled && !progress.isDisputed && progress.wantsAnotherVoice {
      guard arbiters(of: progress, among: present).isEmpty else { continue }
      self.open?.shards[place].check = .none
      waivedChecks += 1
      settle(place, now: now)
    }
    for (place, progress) in open.shards.enumerated()
    where progress.claims != nil && progress.opinions.isEmpty && progress.running.isEmpty {
      guard !progress.isGivenUp, arbiters(of: progress, among: present).isEmpty else { continue }
      self.open?.shards[place].isGivenUp = true
      waivedChecks += 1
    }
  }

  /// The first shard that waits for a worker which has not yet had a say in it, while there is none but those that have
  /// failed at it. These are asked again meanwhile.
  var shardWithoutArbiter: ShardProgress? {
    guard let open, open.hasChecks, hasUsableWorkers else { return nil }
    let present = Set(usableWorkers.map(\.identity))
    return open.shards.first { progress in
      progress.wantsAnotherVoice && arbiters(of: progress, among: present).isEmpty
    }
  }

  /// Whether a shard waits for a worker that is not here.
  var waitsForArbiter: Bool { open?.withoutArbiterSince != nil }

  /// Whether results of the open unit are still to be compared.
  var comparesResults: Bool {
    guard let open, open.hasChecks else { return false }
    return open.shards.contains { $0.counted == nil && $0.agreed == nil }
  }

  /// Notes since when there is no arbiter.
  mutating func watchArbiters(now: Instant) {
    guard open != nil else { return }
    if shardWithoutArbiter == nil {
      open?.withoutArbiterSince = nil
    } else if open?.withoutArbiterSince == nil {
      open?.withoutArbiterSince = now
      stateSince = now
    }
  }

  /// When a unit that nobody can decide fails the run: not while somebody that has failed at it tries once more.
  var arbiterDeadline: Instant? {
    guard let progress = shardWithoutArbiter, !isActive(progress) else { return nil }
    return open?.withoutArbiterSince.map { $0 + settings.noWorkerSeconds }
  }

  // MARK: - Quarantine

  /// A worker came to a wrong result: nothing that it said counts any more, and it gets no more work.
  mutating func quarantine(_ workerID: Int, _ identity: String, _ reason: String, now: Instant) {
    guard voided.insert(identity).inserted else { return }
    trust.quarantined.insert(identity)
    // What counted may count no more, and has to be computed by others.
    mayWant = true
    persist(.quarantine(workerID: workerID, identity: identity, reason: reason))
    for place in (open?.shards ?? []).indices {
      void(votesOf: identity, at: place)
      if open?.shards[place].claims?.identity == identity { open?.shards[place].claims = nil }
    }
    for id in workers.keys.sorted() {
      guard let worker = workers[id], worker.identity == identity else { continue }
      send(.reject(peer: worker.peer, code: .quarantined, reason: reason))
      dismiss(id, reason: "quarantined: \(reason)", outcome: .lost, now: now)
    }
  }

  private mutating func void(votesOf identity: String, at place: Int) {
    guard let opinions = open?.shards[place].opinions else { return }
    var kept: [Opinion] = []
    for var opinion in opinions {
      let void = opinion.votes.filter { $0.attempt.identity == identity }
      for vote in void { record(vote.attempt, .outvoted, finished: vote.received) }
      opinion.votes.removeAll { $0.attempt.identity == identity }
      if !opinion.votes.isEmpty {
        // Sums over earlier steps are the word of their sender alone.
        if let payload = opinion.payload,
          void.contains(where: { $0.attempt.number == payload && $0.attempt.assignment.keepsChains })
        {
          persist(.discardPayload(attempt: payload))
          opinion.payload = nil
        }
        // The bytes are those that the others' digests stand for, whoever sent them.
        kept.append(opinion)
      } else if let payload = opinion.payload {
        let others = opinions.filter { $0.votes.contains { $0.attempt.identity != identity } }
        discardPayload(payload, at: place, others: others.compactMap(\.payload))
      }
    }
    open?.shards[place].opinions = kept
  }
}

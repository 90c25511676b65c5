import NestedLearning
import Protocol

/// What comes back.
extension CoordinatorCore {
  /// Takes a result once. The first that is what was asked for counts; every later one must say the same.
  mutating func take(
    _ result: ResultSummary, from peer: PeerID, session: SessionID, term: UInt64, now: Instant
  ) {
    guard let id = known(peer, session, now: now) else { return count(.stale) }
    func acknowledge(_ outcome: ResultOutcome) {
      send(.acknowledge(peer: peer, session: session, attempt: result.attempt, outcome: outcome))
    }
    guard term == settings.term, let attempt = attempts[result.attempt], attempt.workerID == id else {
      let outcome = repeated(result, from: id)
      count(outcome == .duplicate ? .duplicate : .stale)
      return acknowledge(outcome)
    }
    setState(of: id, .ready, now: now)
    workers[id]?.shardsDone += 1
    addTime(of: attempt, now: now)
    guard let place = attempt.place else {
      finish(attempt, .stale, now: now)
      return acknowledge(.stale)
    }
    if let fault = fault(in: result, of: attempt) {
      count(.corrupt)
      // Its parameters may be damaged as well, so they are sent again.
      workers[id]?.tiers = [:]
      end(result.attempt, .corrupt, reason: "worker \(id): \(fault)", now: now)
      return acknowledge(.corrupt)
    }
    if let first = open?.shards[place].result {
      finish(attempt, .duplicate, now: now)
      if !result.agrees(with: first.summary) {
        disagreement(shardName(attempt), first.workerID, id, now: now)
      }
      return acknowledge(.duplicate)
    }
    commit(result, attempt, at: place, by: id, now: now)
    acknowledge(.committed)
  }

  private mutating func count(_ outcome: AttemptOutcome) { ignoredResults[outcome, default: 0] += 1 }

  private mutating func finish(_ attempt: Attempt, _ outcome: AttemptOutcome, now: Instant) {
    attempts[attempt.assignment.attempt] = nil
    count(outcome)
    record(attempt, outcome, now: now)
  }

  /// A result whose attempt is over: the same message again, or one that comes from another time.
  private func repeated(_ result: ResultSummary, from id: Int) -> ResultOutcome {
    let first = open?.shards.first { $0.result?.summary.attempt == result.attempt }?.result
    guard let first, first.workerID == id, result.agrees(with: first.summary) else { return .stale }
    return .duplicate
  }

  private mutating func addTime(of attempt: Attempt, now: Instant) {
    let unit = attempt.assignment.unit
    times.add(
      seconds: now.seconds(since: attempt.handedOut),
      microBatches: attempt.assignment.shard.node.leaves(count: unit.leafCount).count, purpose: unit.purpose)
  }

  /// What is wrong with a result; nil if it is what was asked for.
  private func fault(in result: ResultSummary, of attempt: Attempt) -> String? {
    if !result.lossSum.isFinite { return "the loss is not a finite number" }
    if result.tokens <= 0 { return "it trained no token" }
    let expected = attempt.assignment.expectedObjects(tierParameterCounts: settings.tierParameterCounts)
    guard result.objects.count == expected.count else {
      return "the result has \(result.objects.count) gradients, not \(expected.count)"
    }
    for object in result.objects {
      guard let bytes = expected[object.name] else { return "\(object.name) was not asked for" }
      if object.byteCount != bytes { return "\(object.name) has \(object.byteCount) bytes, not \(bytes)" }
    }
    return nil
  }

  private mutating func commit(
    _ result: ResultSummary, _ attempt: Attempt, at place: Int, by id: Int, now: Instant
  ) {
    attempts[result.attempt] = nil
    open?.shards[place].result = (result, id)
    open?.shards[place].lease = nil
    persist(.keepPayload(attempt: result.attempt))
    record(attempt, .committed, now: now)
    // Shards of the same micro-batches with other tiers have computed the same loss.
    for other in open?.shards ?? [] where other.shard.node == attempt.assignment.shard.node {
      guard let (summary, worker) = other.result else { continue }
      let same = summary.lossSum.bitPattern == result.lossSum.bitPattern && summary.tokens == result.tokens
      if !same { return disagreement(shardName(attempt), worker, id, now: now) }
    }
  }

  private mutating func disagreement(_ name: String, _ first: Int, _ second: Int, now: Instant) {
    stop(
      "worker \(first) and worker \(second) came to different results for \(name): one of these machines computes "
        + "wrongly, or runs another release", now: now)
  }

  // MARK: - Ends of units

  mutating func completeIfDone(now: Instant) {
    guard let open, !open.shards.isEmpty, open.shards.allSatisfy({ $0.result != nil }) else { return }
    var losses: [TreeNode: Double] = [:]
    var tokens = 0
    var results: [CountedResult] = []
    for progress in open.shards {
      guard let summary = progress.result?.summary else { continue }
      if losses.updateValue(summary.lossSum, forKey: progress.shard.node) == nil { tokens += summary.tokens }
      results.append(CountedResult(shard: progress.shard, attempt: summary.attempt))
    }
    do {
      let count = open.unit.leafCount
      let lossSum = try ReductionTree.combine(losses, into: .root(count: count), count: count) { $0 += $1 }
      closeUnit(now: now)
      conclude(
        .unitComplete(CompletedUnit(unit: open.unit, lossSum: lossSum, tokens: tokens, results: results)))
    } catch {
      stop("\(open.unit): \(error)", now: now)
    }
  }

  /// Ends the open unit without an outcome; kept results are of no use any more.
  mutating func abandonUnit(now: Instant) {
    for progress in open?.shards ?? [] {
      if let result = progress.result { persist(.discardPayload(attempt: result.summary.attempt)) }
    }
    closeUnit(now: now)
  }

  private mutating func closeUnit(now: Instant) {
    open = nil
    stateSince = now
    for number in attempts.keys { attempts[number]?.place = nil }
  }
}

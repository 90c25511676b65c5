import NestedLearning
import WireProtocol

/// Units of work: opened, cut into shards, and over.
extension ShardScheduler {
  mutating func change(_ tiers: [Int: TierVersion], now: Instant) {
    guard open == nil else { return stop("parameters changed while \(openName) was computed", now: now) }
    for (tier, version) in tiers where parameters.indices.contains(tier) { parameters[tier] = version }
  }

  var openName: String { open.map { "\($0.unit)" } ?? "nothing" }

  mutating func begin(_ unit: WorkUnit, now: Instant) {
    guard failure == nil, !isClosed else {
      return log("\(unit) was not begun: the run is ending")
    }
    guard open == nil else { return stop("\(unit) was opened while \(openName) was computed", now: now) }
    if let tier = parameters.firstIndex(where: { $0 == nil }) {
      return stop("\(unit) was opened before the parameters of tier \(tier) were known", now: now)
    }
    guard unit.leafCount > 0, unit.dueTiers.allSatisfy(parameters.indices.contains) else {
      return stop("\(unit) has no micro-batch, or a tier that the run does not have", now: now)
    }
    open = OpenUnit(unit: unit, opened: now, versions: unit.versions ?? parameters.compactMap(\.self))
    // What windows lack is brought before the step that needs it is durable.
    if unit.hasLoss { uncommitted = nil }
    stateSince = now
  }

  /// Until when the first unit waits for the other local workers; nil if it does not, or if it waits for any at all.
  var gatherDeadline: Instant? {
    guard !gathered, open?.shards.isEmpty == true, let firstReady else { return nil }
    let usable = usableWorkers
    guard !usable.isEmpty else { return nil }
    let local = usable.filter { $0.hello.localIndex != nil }.count
    return local < settings.expectedLocalWorkers ? firstReady + settings.gatherSeconds : nil
  }

  /// Cuts the open unit for the workers that are there.
  mutating func planIfPossible(now: Instant) {
    guard let open else { return }
    let isUsable = hasUsableWorkers
    if isUsable || waitsForTurn {
      self.open?.withoutWorkersSince = nil
    } else if open.withoutWorkersSince == nil {
      self.open?.withoutWorkersSince = now
      stateSince = now
    }
    guard open.shards.isEmpty, isUsable else { return }
    if let deadline = gatherDeadline, deadline > now { return }
    gathered = true
    stateSince = now
    if let parts = open.unit.parts {
      let shards = parts.map { part in
        let unit = open.unit.unit(of: part)
        var progress = ShardProgress(
          unit: unit, shard: part.shard, versions: part.earlier?.versions ?? open.versions,
          pinnedTo: part.worker,
          check: part.worker == nil && part.claims == nil ? check(of: part.shard, in: unit) : .none)
        progress.windows = part.windows
        progress.claims = part.claims
        return progress
      }
      self.open?.shards = shards
      noteChecks()
      return orderCredit()
    }
    let workers = usableWorkers.count { worker in
      // One that hangs, or may, is not counted on.
      if case .busy(let number) = worker.state { attempts[number]?.isExpired == false } else { true }
    }
    let shards = Planner.shards(
      of: open.unit, workers: workers, tierParameterCounts: settings.tierParameterCounts,
      byTier: settings.shardByTier)
    let progress = shards.map {
      ShardProgress(unit: open.unit, shard: $0, versions: open.versions, check: check(of: $0, in: open.unit))
    }
    self.open?.shards = progress
    noteChecks()
    orderCredit()
  }

  private mutating func noteChecks() {
    let hasChecks = open?.shards.contains { $0.check != .none || $0.claims != nil } ?? false
    open?.hasChecks = hasChecks
  }

  private mutating func orderCredit() {
    guard let open, open.unit.isSummedAsItComes else { return }
    self.open?.creditOrder = CreditOrder(
      open.shards.map(\.shard), leafCount: open.unit.leafCount,
      tierBytes: settings.tierParameterCounts.map { $0 * MemoryLayout<Float>.size },
      minimum: settings.resultBytes)
  }

  // MARK: - Ends of units

  /// A unit is complete when every shard counts.
  mutating func completeIfDone(now: Instant) {
    guard open?.isDone() == true, let open else { return }
    var losses: [TreeNode: Double] = [:]
    var terms: [TreeNode: ObjectiveTerms] = [:]
    var (tokens, correct) = (0, 0)
    var results: [CountedResult] = []
    for progress in open.shards {
      guard let (opinion, payload) = progress.counted else { continue }
      let summary = opinion.summary
      if losses.updateValue(summary.lossSum, forKey: progress.shard.node) == nil {
        tokens += summary.tokens
        correct += summary.correct ?? 0
      }
      terms[progress.shard.node] = summary.terms
      let sender = (opinion.votes.first { $0.attempt.number == payload } ?? opinion.votes.first)?.attempt
      results.append(
        CountedResult(
          shard: progress.shard, step: progress.unit.step, attempt: payload, workerID: sender?.workerID ?? 0,
          identity: sender?.identity ?? "", digest: ShardDigest(summary)))
    }
    do {
      let count = open.unit.leafCount
      let lossSum =
        open.unit.hasLoss
        ? try ReductionTree.combine(losses, into: .root(count: count), count: count) { $0 += $1 } : 0
      guard lossSum.isFinite else {
        return stop("\(open.unit): the sum of the losses is not finite", now: now)
      }
      let sums =
        open.unit.hasTerms
        ? try ReductionTree.combine(terms, into: .root(count: count), count: count) { $0 = $0 + $1 } : nil
      let complete = CompletedUnit(
        unit: open.unit, lossSum: lossSum, terms: sums, tokens: tokens,
        correct: open.unit.wantsAccuracy ? correct : nil, results: results,
        audits: audits(of: open))
      close(open, isComplete: true, now: now)
      conclude(.unitComplete(complete))
    } catch {
      stop("\(open.unit): \(error)", now: now)
    }
  }

  /// Ends the open unit without an outcome; kept results are of no use any more.
  mutating func abandonUnit(now: Instant) {
    guard let open else { return }
    close(open, isComplete: false, now: now)
  }

  /// Every vote gets its end; whoever still computes is told to stop.
  private mutating func close(_ unit: OpenUnit, isComplete: Bool, now: Instant) {
    if isComplete { noteWindows(of: unit) }
    var waiting: [(attempt: Int, workerID: Int)] = []
    for progress in unit.shards {
      let counted = isComplete ? progress.counted : nil
      for opinion in progress.opinions {
        if let payload = opinion.payload, payload != counted?.payload {
          persist(.discardPayload(attempt: payload))
        }
        for vote in opinion.votes {
          let outcome = outcome(of: vote, in: opinion, counted: counted?.payload, isComplete: isComplete)
          record(
            vote.attempt, outcome,
            verified: opinion.identities.count > 1 && !vote.attempt.assignment.returnsChains,
            finished: vote.received)
          if outcome == .committed {
            waiting.append((vote.attempt.number, vote.attempt.workerID))
            holders[progress.slot] = vote.attempt.workerID
          } else if !vote.isAcknowledged {
            acknowledge(
              vote.attempt.number, of: vote.attempt.workerID,
              !isComplete ? .stale : outcome == .outvoted ? .corrupt : .duplicate)
          }
        }
      }
    }
    forgetHolders(but: unit)
    open = nil
    stateSince = now
    if unit.unit.hasLoss {
      uncommitted = isComplete ? UncommittedUnit(unit: unit.unit, results: waiting) : nil
    } else {
      // What is lost of these is brought once more, so nobody need keep it.
      for (attempt, workerID) in waiting { acknowledge(attempt, of: workerID, .committed) }
    }
    refuseOffers(now: now)
    for number in attempts.keys.sorted() {
      attempts[number]?.place = nil
      cancel(number, now: now)
    }
  }

  /// Units may be cut in many ways in the course of a run; where a shard went in other units is of use for a while.
  private mutating func forgetHolders(but unit: OpenUnit) {
    guard holders.count > 1024 + 4 * unit.shards.count else { return }
    let own = Set(unit.shards.map(\.slot))
    holders = holders.filter { own.contains($0.key) }
  }

  private func outcome(
    of vote: Vote, in opinion: Opinion, counted: Int?, isComplete: Bool
  ) -> AttemptOutcome {
    guard isComplete else { return .stale }
    if opinion.payload != counted { return .outvoted }
    // Whoever sent the bytes may have been quarantined since; then the first that agrees stands for them.
    let sender = opinion.votes.first { $0.attempt.number == counted } ?? opinion.votes.first
    if vote.attempt.number == sender?.attempt.number { return .committed }
    return vote.attempt.assignment.digestOnly ? .verified : .duplicate
  }

  /// The unit is durable: now whoever computed it may forget it.
  mutating func acknowledge(committed unit: WorkUnit) {
    guard let pending = uncommitted, pending.unit == unit else { return }
    uncommitted = nil
    for (attempt, workerID) in pending.results { acknowledge(attempt, of: workerID, .committed) }
  }

  /// Answers a result, if its worker is still there.
  mutating func acknowledge(_ attempt: Int, of workerID: Int, _ outcome: ResultOutcome) {
    guard let worker = workers[workerID] else { return }
    send(.acknowledge(peer: worker.peer, session: worker.session, attempt: attempt, outcome: outcome))
  }
}

/// A unit that is computed, and not yet durable.
struct UncommittedUnit: Sendable {
  let unit: WorkUnit
  /// Those that count, whose workers have not been told.
  let results: [(attempt: Int, workerID: Int)]
}

import NestedLearning
import WireProtocol

/// What comes back.
extension ShardScheduler {
  /// What a result would be answered with, were it to come now; nil: it is wanted, so its bytes are worth sending.
  /// Changes nothing: the result itself, or what it says of itself, is then to be told by `.result`.
  func verdict(on result: ResultSummary, of id: Int) -> ResultOutcome? {
    guard let attempt = attempts[result.attempt], attempt.workerID == id, let place = attempt.place,
      let progress = open?.shards[place]
    else { return .stale }
    if fault(in: result, of: attempt) != nil { return .corrupt }
    let same = progress.opinions.first { progress.agree($0.summary, result) }
    return same?.payload == nil ? nil : .duplicate
  }

  /// Takes a result as its worker's word on its shard. The first that is what was asked for counts, unless more words
  /// are wanted; every later one must say the same.
  mutating func take(_ result: ResultSummary, from id: Int, now: Instant) {
    guard workers[id] != nil else { return count(.stale) }
    guard let attempt = attempts[result.attempt], attempt.workerID == id else {
      let outcome = repeated(result, from: id)
      count(outcome == .duplicate ? .duplicate : .stale)
      return acknowledge(result.attempt, of: id, outcome)
    }
    closeOffer(result.attempt, now: now)
    if workers[id]?.state == .busy(attempt: result.attempt) { setState(of: id, .ready, now: now) }
    workers[id]?.shardsDone += 1
    let fault = fault(in: result, of: attempt)
    if fault == nil { addTime(of: attempt, result, now: now) }
    guard let place = attempt.place else {
      attempts[result.attempt] = nil
      forgetChains(of: attempt)
      count(.stale)
      record(attempt, .stale, finished: now)
      return acknowledge(result.attempt, of: id, .stale)
    }
    if let fault {
      count(.corrupt)
      // Its parameters may be damaged as well, so they are sent again.
      workers[id]?.tiers = [:]
      acknowledge(result.attempt, of: id, .corrupt)
      if !result.lossSum.isFinite || !result.isFinite {
        return failNotFinite(
          result.attempt, word: result.wordOfAll, reason: "worker \(id): \(fault)", .corrupt, now: now)
      }
      return end(result.attempt, .corrupt, reason: "worker \(id): \(fault)", now: now)
    }
    attempts[result.attempt] = nil
    noteSuccess(of: attempt)
    open?.shards[place].running.removeAll { $0 == result.attempt }
    add(Vote(attempt: attempt, summary: result, received: now), at: place)
    settle(place, now: now)
    if open?.shards.indices.contains(place) != true || open?.shards[place].counted == nil { mayWant = true }
  }

  private mutating func count(_ outcome: AttemptOutcome) { ignoredResults[outcome, default: 0] += 1 }

  /// A result whose attempt is over: the same message again, or one that comes from another time.
  private func repeated(_ result: ResultSummary, from id: Int) -> ResultOutcome {
    let isRepeated = (open?.shards ?? []).contains { progress in
      progress.opinions.contains { opinion in
        progress.agree(opinion.summary, result)
          && opinion.votes.contains { $0.attempt.number == result.attempt && $0.attempt.workerID == id }
      }
    }
    return isRepeated ? .duplicate : .stale
  }

  private mutating func addTime(of attempt: Attempt, _ result: ResultSummary, now: Instant) {
    notePace(of: attempt, isDone: true, now: now)
    times.add(
      seconds: attempt.age(now), microBatches: attempt.assignment.leaves.count,
      progress: result.progress, purpose: attempt.assignment.unit.purpose)
  }

  /// What is wrong with a result; nil if it is what was asked for.
  private func fault(in result: ResultSummary, of attempt: Attempt) -> String? {
    if !result.isFinite { return "a gradient is not finite" }
    if let fault = tokenFault(in: result, of: attempt.assignment) { return fault }
    var expected = attempt.assignment.expectedObjects(tierParameterCounts: settings.tierParameterCounts)
    guard result.objects.count == expected.count else {
      return "the result has \(result.objects.count) gradients, not \(expected.count)"
    }
    if result.isDigestOnly && !attempt.assignment.digestOnly { return "the result has digests alone" }
    for object in result.objects {
      guard let bytes = expected.removeValue(forKey: object.name) else {
        return "\(object.name) was not asked for, or comes twice"
      }
      if object.byteCount != bytes { return "\(object.name) has \(object.byteCount) bytes, not \(bytes)" }
    }
    return windowFault(in: result, of: attempt.assignment)
  }

  /// How many tokens are trained is not for a worker to say; and no token's loss is more than the difference of two
  /// logits, so that a loss is a number and a sum over any number of results finite.
  private func tokenFault(in result: ResultSummary, of assignment: Assignment) -> String? {
    let unit = assignment.unit
    if let tokens = unit.trainedTokens(of: assignment.leaves) {
      if tokens != result.tokens { return "it trained \(result.tokens) tokens, not \(tokens)" }
    } else if result.tokens <= 0 && unit.hasLoss {
      return "it trained no token"
    }
    guard (result.correct != nil) == unit.wantsAccuracy, (0...result.tokens).contains(result.correct ?? 0)
    else {
      return unit.wantsAccuracy
        ? "it does not say how many of \(result.tokens) tokens were right" : "it counts right tokens unasked"
    }
    if unit.purpose == .collect, result.tokens != 0 || result.lossSum != 0 {
      return "nothing was to be computed, and it has a loss of \(result.lossSum) over \(result.tokens) tokens"
    }
    let most = 2 * Double(Float.greatestFiniteMagnitude) * Double(max(1, result.tokens))
    guard result.lossSum.magnitude <= most else {
      return "the loss of \(result.tokens) tokens cannot be \(result.lossSum)"
    }
    return termFault(in: result, assignment, most: most * Double(UInt32.max))
  }

  /// - Parameter most: no sum is more, whatever its factor.
  private func termFault(
    in result: ResultSummary, _ assignment: Assignment, most: Double
  ) -> String? {
    let unit = assignment.unit
    guard (result.terms != nil) == unit.hasTerms else {
      return unit.hasTerms ? "it lacks the sums of the objective" : "it has sums that were not asked for"
    }
    guard let terms = result.terms else { return nil }
    let isPossible = [terms.replay, terms.divergence, terms.objective].allSatisfy { $0.magnitude <= most }
    guard isPossible else { return "the sums of the objective cannot be \(terms)" }
    guard terms.tasks.count == unit.taskLabels.count,
      zip(terms.tasks, unit.taskLabels).allSatisfy({ task, labels in
        task.isPossible(tokens: result.tokens, labelCount: labels)
      })
    else { return "the sums of the tasks cannot be what it says" }
    let rows = unit.toldRows(of: assignment.leaves)
    guard terms.domains?.places == rows,
      terms.domains?.isPossible(tokens: rows ?? 0, labelCount: 0) ?? true
    else { return "the sums of the domains cannot be what it says" }
    return nil
  }

  // MARK: - Votes

  private mutating func add(_ vote: Vote, at place: Int) {
    guard let progress = open?.shards[place] else { return }
    var (vote, opinions) = (vote, progress.opinions)
    let number = opinions.firstIndex { progress.agree($0.summary, vote.summary) } ?? opinions.count
    if number == opinions.count {
      opinions.append(Opinion(vote))
    } else {
      vote.isAcknowledged = !vote.attempt.assignment.digestOnly && opinions[number].payload != nil
      opinions[number].votes.append(vote)
    }
    if vote.isAcknowledged {
      count(.duplicate)
      acknowledge(vote.attempt.number, of: vote.attempt.workerID, .duplicate)
    } else if opinions[number].payload == nil && vote.summary.hasBytes {
      opinions[number].payload = vote.attempt.number
      keepPayload(vote.attempt.number, at: place, progress)
    }
    open?.shards[place].opinions = opinions
  }

  /// What follows from the votes on a shard.
  mutating func settle(_ place: Int, now: Instant) {
    guard let progress = open?.shards[place] else { return }
    if progress.isDisputed {
      open?.hasChecks = true
      guard let agreed = progress.agreed else { return sayDisputed(progress) }
      let outvoted = progress.opinions.filter { !progress.agree($0.summary, agreed.summary) }
      let reason =
        "its result for \(progress.name) is not the one that \(progress.supporters(of: agreed).count) others came to"
      for vote in outvoted.flatMap(\.votes) {
        quarantine(vote.attempt.workerID, vote.attempt.identity, reason, now: now)
      }
      if let claims = progress.claims, claims.contradict(agreed.summary) {
        quarantine(claims.worker, claims.identity, reason, now: now)
      }
    }
    guard let progress = open?.shards[place], let (counted, _) = progress.counted else { return }
    guard holdsToRecord(counted, at: place, now: now) else { return }
    for number in progress.running { cancel(number, now: now) }
    compareLoss(of: progress, counted, now: now)
  }

  private mutating func sayDisputed(_ progress: ShardProgress) {
    let names = progress.voices.map { "worker \($0)" }.joined(separator: " and ")
    log("\(names) came to different results for \(progress.name); another worker is to decide")
  }

  /// Shards of the same micro-batches with other tiers have computed the same loss; if not, one of their workers
  /// computes wrongly, and others have to say which.
  private mutating func compareLoss(of progress: ShardProgress, _ counted: Opinion, now: Instant) {
    guard let open, progress.unit.hasLoss else { return }
    let same = open.shards.indices.filter {
      open.shards[$0].shard.node == progress.shard.node && open.shards[$0].unit == progress.unit
    }
    let differs = same.contains { place in
      guard let other = open.shards[place].counted?.opinion.summary else { return false }
      return other.lossSum.bitPattern != counted.summary.lossSum.bitPattern
        || other.terms?.bitPatterns != counted.summary.terms?.bitPatterns
        || other.tokens != counted.summary.tokens
    }
    guard differs else { return }
    if same.allSatisfy({ open.shards[$0].check == .demanded && open.shards[$0].counted != nil }) {
      return stop(
        "\(progress.name): two workers agree on each tier's gradients, but the losses of the tiers differ; these "
          + "machines do not compute the same from one time to the next", now: now)
    }
    log("the shards of \(progress.name) came with different losses; other workers compute them as well")
    for place in same { self.open?.shards[place].check = .demanded }
    mayWant = true
    self.open?.hasChecks = true
  }
}

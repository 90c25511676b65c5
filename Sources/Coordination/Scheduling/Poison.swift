import WireProtocol

/// Whose a worker is, as far as failures are counted.
struct Owner: Sendable, Hashable {
  /// The worker's public key if it has one, else its host and process.
  let identity: String
  /// Its host; nil if it has a key.
  let host: String?
}

/// What has gone wrong with one shard, and with whom.
struct ShardFailures: Sendable {
  /// A result with a number that is not finite, or the word of a worker that it has come to one.
  struct NotFinite: Sendable {
    let owner: Owner
    let workerID: Int
    /// Whether its process joined as one that this coordinator had not seen.
    let isNewProcess: Bool
    /// What it said, to be compared.
    let word: String
  }

  /// So often may one identity be lost over a shard, and come back, before that counts as a failure.
  static let mostLosses = 10

  /// How often workers failed at it: reported an error, sent what was not asked for, hung, or left with it.
  var errors = 0
  private var failed = Set<Owner>()
  /// The processes that were lost over it and have not come back, each as often as it was.
  private var lost: [(process: String, owner: Owner)] = []
  private var losses: [Owner: Int] = [:]
  /// Identities whose lease of it was over before they were done.
  var late = Set<String>()
  private(set) var notFinite: [NotFinite] = []
  private(set) var lastReason = ""
  /// Until then it is left to identities that have not failed at it, if any are there.
  var leftToOthersUntil = Instant.zero
  /// Since when nobody is expected to come to it.
  var poisonedSince: Instant?
  /// That has been said in the log, as nobody is at it again.
  var isNamed = false

  /// What counts against it: a process that came back has lost its connection, and no more.
  var count: Int { errors + lost.count }
  var isEmpty: Bool { failed.isEmpty && losses.isEmpty && late.isEmpty }

  mutating func addError(_ owner: Owner, reason: String) {
    errors += 1
    failed.insert(owner)
    lastReason = reason
  }

  mutating func addLoss(_ owner: Owner, process: String, hasReturned: Bool, reason: String) {
    losses[owner, default: 0] += 1
    if !hasReturned { lost.append((process, owner)) }
    lastReason = reason
  }

  mutating func add(_ word: NotFinite) { notFinite.append(word) }

  /// A process is there again that was taken for lost.
  mutating func cameBack(_ process: String) {
    guard let index = lost.firstIndex(where: { $0.process == process }) else { return }
    lost.remove(at: index)
  }

  /// Who has failed at it. One over whose connection it is lost again and again is no better than one that fails, but
  /// bad luck is to be ruled out first.
  var owners: Set<Owner> {
    failed.union(lost.map(\.owner)).union(losses.filter { $0.value >= Self.mostLosses }.keys)
  }

  func hasTried(_ identity: String) -> Bool {
    late.contains(identity) || owners.contains { $0.identity == identity }
  }
}

/// Shards that cannot be computed, as it seems. Failures are counted by who failed: a machine that fails at everything
/// says nothing about the shards, and is no reason to end a run that others can go on with.
extension ShardScheduler {
  private enum Party: Hashable {
    case identity(String)
    case host(String)
  }

  /// Processes without a key on one host may be one broken machine under many names; they count once, unless it has been
  /// seen to work.
  private func parties(_ owners: some Sequence<Owner>) -> Set<Party> {
    Set(
      owners.map { owner in
        guard let host = owner.host, !trust.provenHosts.contains(host) else {
          return .identity(owner.identity)
        }
        return .host(host)
      })
  }

  /// A worker came to a right result, so its host is no broken machine.
  mutating func noteProof(of owner: Owner) {
    guard let host = owner.host, !trust.provenHosts.contains(host) else { return }
    // Whoever is forgotten proves itself again.
    if trust.provenHosts.count >= settings.maximumWorkers { trust.provenHosts.removeAll() }
    trust.provenHosts.insert(host)
  }

  /// Whether nobody is expected to come to a shard: enough different ones failed at it, or all that are there.
  private func isPoison(_ progress: ShardProgress) -> Bool {
    guard !progress.failures.isEmpty, !progress.isDone, progress.pinnedTo == nil else { return false }
    // What somebody has computed, and another is to compare, waits for an arbiter.
    if progress.wantsAnotherVoice { return false }
    let failed = parties(progress.failures.owners)
    if failed.isEmpty { return false }
    if failed.count >= settings.poisonIdentities { return true }
    let present = parties(usableWorkers.map(\.owner))
    // While nobody is there nothing has changed: else one that comes and goes would be asked for ever.
    if present.isEmpty { return progress.failures.poisonedSince != nil }
    return present.isSubset(of: failed)
  }

  /// Notes since when a shard is poison, as it seems.
  mutating func watchPoison(now: Instant) {
    guard let open, open.hasFailures else { return }
    for (place, progress) in open.shards.enumerated() {
      let (isPoison, since) = (isPoison(progress), progress.failures.poisonedSince)
      if isPoison != (since != nil) {
        self.open?.shards[place].failures.poisonedSince = isPoison ? now : nil
        self.open?.shards[place].failures.isNamed = false
        stateSince = now
      }
      guard isPoison, !isActive(progress), self.open?.shards[place].failures.isNamed == false else {
        continue
      }
      self.open?.shards[place].failures.isNamed = true
      log("\(poisonReason(progress)); it is tried again for \(Int(settings.noWorkerSeconds)) s")
    }
  }

  /// A shard that is poison, as it seems, while nobody is at it again.
  var poisonedShard: ShardProgress? {
    guard let open, open.hasFailures else { return nil }
    return open.shards.filter { $0.failures.poisonedSince != nil && !isActive($0) }
      .min { ($0.failures.poisonedSince ?? .never) < ($1.failures.poisonedSince ?? .never) }
  }

  /// Whether somebody is at a shard now.
  func isActive(_ progress: ShardProgress) -> Bool {
    progress.running.contains { attempts[$0]?.isActive == true }
  }

  /// When a poisoned shard fails the run.
  var poisonDeadline: Instant? {
    poisonedShard?.failures.poisonedSince.map { $0 + settings.noWorkerSeconds }
  }

  mutating func judgePoison(now: Instant) {
    guard let deadline = poisonDeadline, deadline <= now, let progress = poisonedShard, failure == nil else {
      return
    }
    stop(
      "\(poisonReason(progress)), and nobody else came to compute it within \(Int(settings.noWorkerSeconds)) s",
      now: now)
  }

  func poisonReason(_ progress: ShardProgress) -> String { "\(progress.name) \(failureReason(progress))" }

  /// On whom it failed, and why the last time.
  func failureReason(_ progress: ShardProgress) -> String {
    let names = progress.failures.owners.map(\.identity).sorted()
    let others = names.count > 3 ? " and \(names.count - 3) more" : ""
    return "failed on \(names.prefix(3).joined(separator: ", "))\(others), the last time: "
      + progress.failures.lastReason
  }

  // MARK: - Who tries again

  /// A shard that failed goes to those first that have not failed at it, though they are busy now; not for ever, as they
  /// may be slow.
  mutating func leaveToOthers(_ place: Int, after attempt: Attempt, now: Instant) {
    open?.hasFailures = true
    let lease = times.lease(
      microBatches: attempt.assignment.leaves.count, purpose: attempt.assignment.unit.purpose, failures: 0,
      settings: settings)
    open?.shards[place].failures.leftToOthersUntil = now + min(lease, settings.maximumCooldownSeconds)
  }

  /// Whether somebody is there that has not failed at a shard and may compute it.
  func hasOthers(_ progress: ShardProgress, barred: Set<String>) -> Bool {
    workers.values.contains { worker in
      worker.isUsable && !barred.contains(worker.identity) && !progress.failures.hasTried(worker.identity)
    }
  }

  /// When a shard is no longer left to others.
  func retryDeadline(now: Instant) -> Instant {
    guard let open, open.hasFailures, workers.values.contains(where: \.isUsable) else { return .never }
    return open.shards.lazy.filter { $0.agreed == nil }.map(\.failures.leftToOthersUntil).filter { $0 > now }
      .min()
      ?? .never
  }

  // MARK: - Numbers that are not finite

  /// A result has a number that is not finite. If another worker has come to the very same, the training itself has
  /// diverged; until then it is its worker's failure.
  mutating func failNotFinite(
    _ number: Int, word: String, reason: String, _ outcome: AttemptOutcome, now: Instant
  ) {
    guard let attempt = attempts[number], let worker = workers[attempt.workerID] else { return }
    end(number, outcome, reason: reason, now: now)
    guard failure == nil, let place = attempt.place, let progress = open?.shards[place],
      progress.counted == nil
    else { return }
    let own = ShardFailures.NotFinite(
      owner: worker.owner, workerID: worker.id, isNewProcess: worker.isNewProcess, word: word)
    let others = hasOthers(progress, barred: [])
    let same = progress.failures.notFinite.first { earlier in
      earlier.word == word && earlier.workerID != worker.id
        && (earlier.owner != worker.owner || (own.isNewProcess && !others))
    }
    if let same {
      return stop(
        "not finite: \(progress.name): worker \(same.workerID) (\(same.owner.identity)) and worker \(worker.id) "
          + "(\(worker.identity)) came to the same: \(reason); the training has diverged, and a lower learning_rate or "
          + "max_grad_norm may help", now: now)
    }
    open?.shards[place].failures.add(own)
    // Where there is nobody else, a fresh process of our own is the next best judge.
    guard !others, worker.hello.localIndex != nil, progress.failures.notFinite.isEmpty else { return }
    dismiss(worker.id, reason: "\(reason); a fresh process computes it once more", outcome: .failed, now: now)
  }
}

extension ResultSummary {
  /// Of two results with numbers that are not finite, whether they are the same.
  var wordOfAll: String {
    let objects = word.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    let sums = [lossSum.bitPattern] + (terms?.bitPatterns ?? [])
    return "\(sums.map(String.init).joined(separator: " ")) \(tokens) \(objects.joined(separator: " "))"
  }
}

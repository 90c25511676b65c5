import WireProtocol

/// What can be seen from outside.
extension ShardScheduler {
  public var status: RunStatus {
    let (run, reason, deadline) = runStatus
    return RunStatus(
      term: settings.term, run: run, reason: reason, since: stateSince, deadline: deadline,
      pause: run == .paused ? pauseCause : nil, unit: open?.unit,
      workers: workers.keys.sorted().compactMap { workers[$0].map(status(of:)) },
      shards: open?.shards.map(status(of:)) ?? [],
      ignoredResults: ignoredResults, waivedChecks: waivedChecks, expiredLeases: expiredLeases,
      backups: backups)
  }

  private var runStatus: (RunStatus.State, reason: String, deadline: Instant?) {
    if let failure { return (.failed, failure, nil) }
    if isClosed { return (.completed, "the workers have gone", nil) }
    if open != nil, waitsForTurn, workers.isEmpty {
      return (.waiting, "all workers are with the runs before it", nil)
    }
    guard let open else { return (.idle, "nothing is open", nil) }
    if open.withoutWorkersSince != nil {
      let loading = workers.count
      let reason = loading > 0 ? "\(counted(loading)) loading the model" : "there is no worker"
      // Before the first shard of all, this is the start of the run and no interruption.
      return (gathered ? .paused : .gathering, reason, noWorkerDeadline)
    }
    if open.shards.isEmpty {
      let ready = usableWorkers.count
      return (
        .gathering, "\(ready) of \(settings.expectedLocalWorkers) local workers are ready", gatherDeadline
      )
    }
    if let progress = shardWithoutArbiter { return (.paused, arbiterReason(progress), arbiterDeadline) }
    if let progress = poisonedShard { return (.paused, poisonReason(progress), poisonDeadline) }
    let done = open.shards.count { $0.counted != nil }
    return (.stepOpen, "\(done) of \(open.shards.count) shards of \(open.unit) are done", nil)
  }

  private var pauseCause: PauseCause {
    if open?.withoutWorkersSince != nil { return .noWorkers }
    return shardWithoutArbiter != nil ? .needsArbiter : .poisonedShard
  }

  func arbiterReason(_ progress: ShardProgress) -> String {
    let names = progress.voices.map { "worker \($0)" }.joined(separator: " and ")
    let reason =
      progress.isDisputed
      ? "\(names) came to different results for \(progress.name), and there is no other worker to decide"
      : "\(progress.name) is to be computed by two workers, and there is only \(names)"
    return progress.failures.owners.isEmpty ? reason : "\(reason): \(failureReason(progress))"
  }

  private func counted(_ workers: Int) -> String { workers == 1 ? "1 worker is" : "\(workers) workers are" }

  // MARK: - Workers

  private func status(of worker: Worker) -> RunStatus.Worker {
    let (state, reason, deadline) = condition(of: worker)
    return RunStatus.Worker(
      id: worker.id, peer: worker.peer, host: worker.hello.host, processID: worker.hello.processID,
      threads: worker.hello.threads, localIndex: worker.hello.localIndex, state: state, reason: reason,
      since: worker.since, deadline: deadline, lastHeard: worker.lastHeard, shardsDone: worker.shardsDone)
  }

  private func condition(
    of worker: Worker
  ) -> (RunStatus.Worker.State, reason: String, deadline: Instant?) {
    switch worker.state {
    case .loading:
      let reason = worker.fetch.map { "fetches the model: \($0)" } ?? "loads the model"
      return (.loading, reason, worker.admissionDeadline)
    case .probing: return (.probing, "its arithmetic is compared", worker.admissionDeadline)
    case .ready where promised.contains(worker.id):
      guard isAtWork(worker.id) else { return (.ready, "goes to another run", nil) }
      return (.busy, "goes to another run, once its result is sent", nil)
    case .ready:
      if let until = cooldown(of: worker, now: lastStep), let trouble = trust.backoffs[worker.identity] {
        return (
          .cooldown, "failed \(trouble.failures) times in a row, the last time: \(trouble.reason)", until
        )
      }
      return (.ready, "waits for work", nil)
    case .busy(let number):
      guard let attempt = attempts[number] else { return (.busy, "attempt \(number)", nil) }
      let name = name(of: attempt)
      if attempt.isExpired {
        return (.suspect, "its lease of attempt \(number) is over: \(name)", attempt.givenUp)
      }
      if attempt.isCancelled {
        return (.busy, "was told to stop attempt \(number): \(name)", attempt.leaseEnds)
      }
      return (.busy, "attempt \(number): \(name)", attempt.leaseEnds)
    }
  }

  // MARK: - Shards

  private func status(of progress: ShardProgress) -> RunStatus.ShardState {
    let active = progress.running.compactMap { attempts[$0] }.filter(\.isActive)
    let (state, reason) = condition(of: progress, active)
    let votes = progress.opinions.flatMap(\.votes)
    let since = (votes.map(\.received) + active.map(\.handedOut)).max() ?? open?.opened ?? stateSince
    return RunStatus.ShardState(
      name: progress.name, state: state, reason: reason, since: since,
      deadline: progress.counted == nil ? active.map(\.leaseEnds).min() ?? retry(of: progress) : nil,
      failures: progress.failures.count,
      workers: votes.map(\.attempt.workerID) + active.map(\.workerID))
  }

  private func condition(
    of progress: ShardProgress, _ active: [Attempt]
  ) -> (RunStatus.ShardState.State, reason: String) {
    if progress.failures.poisonedSince != nil, active.isEmpty { return (.poisoned, poisonReason(progress)) }
    if progress.counted != nil { return (.verified, "counts") }
    if progress.isDisputed { return (.checking, "its results differ; another worker is to decide") }
    if !progress.opinions.isEmpty { return (.checking, "another worker is to come to the same") }
    if let attempt = active.first(where: \.isUploading) {
      let what = attempt.waitsSince == nil ? "is on its way" : "waits for its turn to be sent"
      return (.uploading, "the result of worker \(attempt.workerID) \(what)")
    }
    if let attempt = active.first(where: \.hasBackup) {
      return (.speculated, "worker \(attempt.workerID) is late, and another computes it as well")
    }
    if let attempt = active.first {
      return (.leased, "worker \(attempt.workerID) computes it, \(attempt.progress) steps so far")
    }
    let failures = progress.failures.count
    let others =
      retry(of: progress) == nil ? "waits for a worker" : "is left to workers that have not failed at it"
    return (.pending, failures > 0 ? "\(others), after \(failures) failures" : others)
  }

  /// Until when a shard that failed is left to others.
  private func retry(of progress: ShardProgress) -> Instant? {
    let until = progress.failures.leftToOthersUntil
    return until > lastStep ? until : nil
  }
}

import Protocol

/// What can be seen from outside.
extension CoordinatorCore {
  public var status: CoordinatorStatus {
    let (run, reason, deadline) = runStatus
    return CoordinatorStatus(
      term: settings.term, run: run, reason: reason, since: stateSince, deadline: deadline, unit: open?.unit,
      workers: workers.keys.sorted().compactMap { workers[$0].map(status(of:)) },
      shards: open?.shards.map(status(of:)) ?? [],
      ignoredResults: ignoredResults, waivedChecks: waivedChecks)
  }

  private var runStatus: (RunState, reason: String, deadline: Instant?) {
    if let failure { return (.failed, failure, nil) }
    switch phase {
    case .completed: return (.completed, "the workers have left", nil)
    case .leaving(let until): return (.draining, "\(counted(workers.count)) still to leave", until)
    case .draining:
      return (.draining, "\(open.map { "\($0.unit)" } ?? "the last unit") is finished first", nil)
    case .running: break
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
    let done = open.shards.count { $0.counted != nil }
    return (.stepOpen, "\(done) of \(open.shards.count) shards of \(open.unit) are done", nil)
  }

  func arbiterReason(_ progress: ShardProgress) -> String {
    let names = progress.opinions.compactMap(\.workerID).map { "worker \($0)" }.joined(separator: " and ")
    return progress.isDisputed
      ? "\(names) came to different results for \(progress.name), and there is no other worker to decide"
      : "\(progress.name) is to be computed by two workers, and there is only \(names)"
  }

  private func counted(_ workers: Int) -> String { workers == 1 ? "1 worker is" : "\(workers) workers are" }

  private func status(of worker: Worker) -> CoordinatorStatus.Worker {
    var state = CoordinatorStatus.Worker.State.loading
    var reason = "loads the model"
    switch worker.state {
    case .loading: break
    case .ready: (state, reason) = (.ready, "waits for work")
    case .leaving: (state, reason) = (.leaving, "was told to leave")
    case .busy(let number):
      let attempt = attempts[number]
      let name = attempt.map { self.name(of: $0) } ?? "nothing that is known"
      (state, reason) = (.busy, "attempt \(number): \(name)")
      if attempt?.isCancelled == true { reason = "was told to stop attempt \(number): \(name)" }
      if attempt?.isExpired == true {
        (state, reason) = (.suspect, "its lease of attempt \(number) is over: \(name)")
      }
    }
    return CoordinatorStatus.Worker(
      id: worker.id, peer: worker.peer, host: worker.hello.host, processID: worker.hello.processID,
      threads: worker.hello.threads, localIndex: worker.hello.localIndex, state: state, reason: reason,
      since: worker.since, lastHeard: worker.lastHeard, shardsDone: worker.shardsDone)
  }

  private func status(of progress: ShardProgress) -> CoordinatorStatus.ShardState {
    let active = progress.running.compactMap { attempts[$0] }.filter(\.isActive)
    let state: CoordinatorStatus.ShardState.State =
      if progress.counted != nil {
        .verified
      } else if !progress.opinions.isEmpty {
        .checking
      } else if active.contains(where: \.isUploading) {
        .uploading
      } else if active.contains(where: \.hasBackup) {
        .speculated
      } else if active.isEmpty {
        .pending
      } else {
        .leased
      }
    let voters = progress.opinions.flatMap(\.votes).map(\.attempt.workerID)
    return CoordinatorStatus.ShardState(
      name: progress.name, state: state, failures: progress.failures,
      workers: voters + active.map(\.workerID), leaseEnds: active.map(\.leaseEnds).min())
  }
}

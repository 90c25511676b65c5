import Coordination
import WireProtocol

/// The queue beside a worker's socket thread: one thing after the other, in the order in which it was asked for.
struct ComputeQueue {
  enum Kind: Equatable {
    case shard(job: Int)
    case other
  }

  struct Item {
    let kind: Kind
    let session: Int
    let seconds: Double
    /// Steps of the computation, at whose ends it looks whether it is still wanted.
    let steps: Int
    let work: (Simulation) -> WorkerEvent?
    var isCancelled = false
  }

  struct Running {
    var item: Item
    var ends: Instant
    /// Of the event that ends it; an earlier one does not count.
    var token: Int
  }

  var waiting: [Item] = []
  var running: Running?
  var tokens = 0
  /// Nothing gets on until then.
  var hungUntil = Instant.zero

  /// Steps of a job that are done.
  func progress(of job: Int, now: Instant) -> Int {
    guard let running, running.item.kind == .shard(job: job), running.item.seconds > 0 else { return 0 }
    let left = max(0, running.ends.seconds(since: max(now, hungUntil)))
    return Int(Double(running.item.steps) * max(0, 1 - left / running.item.seconds))
  }
}

extension Simulation {
  func enqueue(
    _ place: Int, _ kind: ComputeQueue.Kind, seconds: Double, steps: Int = 1,
    _ work: @escaping (Simulation) -> WorkerEvent?
  ) {
    workers[place].queue.waiting.append(
      ComputeQueue.Item(
        kind: kind, session: workers[place].session, seconds: seconds, steps: steps, work: work))
    if workers[place].queue.waiting.count > 100 { problem("worker \(place) has 100 things to do") }
    startNext(place)
  }

  private func startNext(_ place: Int) {
    while workers[place].isAlive, workers[place].queue.running == nil, !workers[place].queue.waiting.isEmpty {
      let item = workers[place].queue.waiting.removeFirst()
      // What an ended session asked for is left out.
      guard item.session == workers[place].session else { continue }
      let seconds = item.isCancelled ? 0 : item.seconds
      workers[place].queue.running = ComputeQueue.Running(
        item: item, ends: max(now, workers[place].queue.hungUntil) + seconds, token: 0)
      if workers[place].queue.running?.ends == now { finish(place) } else { awaitEnd(place) }
    }
  }

  private func awaitEnd(_ place: Int) {
    guard let running = workers[place].queue.running else { return }
    workers[place].queue.tokens += 1
    let token = workers[place].queue.tokens
    workers[place].queue.running?.token = token
    events.add(.workerDone(place: place, life: workers[place].life, token: token), at: running.ends)
  }

  func computed(_ place: Int, token: Int) {
    guard workers[place].queue.running?.token == token else { return }
    finish(place)
    startNext(place)
  }

  private func finish(_ place: Int) {
    guard let item = workers[place].queue.running?.item else { return }
    workers[place].queue.running = nil
    var event = item.isCancelled ? nil : item.work(self)
    if item.isCancelled, case .shard(let job) = item.kind { event = .stopped(job: job) }
    guard let event else { return }
    events.add(
      .workerEvent(place: place, life: workers[place].life, session: item.session, event), at: now)
  }

  /// Has a shard stopped at the end of its present step; without a job, whatever is computed.
  func cancel(_ job: Int?, _ place: Int) {
    func isMeant(_ item: ComputeQueue.Item) -> Bool {
      if case .shard(let number) = item.kind { return job == nil || job == number }
      return false
    }
    for index in workers[place].queue.waiting.indices where isMeant(workers[place].queue.waiting[index]) {
      workers[place].queue.waiting[index].isCancelled = true
    }
    guard let running = workers[place].queue.running, isMeant(running.item), !running.item.isCancelled else {
      return
    }
    let step = running.item.seconds / Double(max(1, running.item.steps))
    let ends = max(now, workers[place].queue.hungUntil) + step
    workers[place].queue.running?.item.isCancelled = true
    workers[place].queue.running?.ends = min(running.ends, ends)
    awaitEnd(place)
  }

  /// The arithmetic does not get on for a time.
  func hang(_ place: Int, until: Instant) {
    let queue = workers[place].queue
    guard until > queue.hungUntil else { return }
    let more = until.seconds(since: max(now, queue.hungUntil))
    workers[place].queue.hungUntil = until
    guard let running = queue.running else { return }
    workers[place].queue.running?.ends = running.ends + more
    awaitEnd(place)
  }

  func compute(_ job: Int, _ assign: AssignMessage, _ place: Int) {
    var seconds = Double(assign.microBatches.count) * scenario.computeSeconds * workers[place].plan.slowness
    seconds *= Double.random(in: 0.8...1.2, using: &random)
    if workers[place].slowUntil > now { seconds *= 8 }
    let plan = workers[place].plan
    if isFaulty, random.chance(plan.quits) { return leave(place, with: assign) }
    let isBroken = (isFaulty || plan.neverHeals) && random.chance(plan.fails)
    let fails = isFaulty && random.chance(scenario.computeErrors)
    let lie = assign.purpose == .collect ? nil : lie(of: place, in: assign)
    let steps = 10 * assign.microBatches.count
    enqueue(place, .shard(job: job), seconds: seconds, steps: steps) { simulation in
      if fails || isBroken {
        simulation.outcome.count(isBroken ? .failingMachine : .computeError)
        return .computeFailed(job: job, reason: "a simulated error")
      }
      do {
        let parameters = simulation.workers[place].parameters
        guard assign.purpose == .collect || parameters.versions == assign.parameterVersions else {
          simulation.problem(
            "worker \(place) has versions \(parameters.versions), not \(assign.parameterVersions)")
          return nil
        }
        var result = try ToyShard.compute(
          assign, parameters, chains: &simulation.workers[place].chains, lie: lie,
          seconds: seconds)
        result.progress = steps
        simulation.noteLies(of: place, in: assign, lie)
        return .computed(job: job, result)
      } catch {
        simulation.outcome.count("chain not as it should be")
        return .computeFailed(job: job, reason: "\(error)")
      }
    }
  }

  /// What a worker makes of its next shard.
  private func lie(of place: Int, in assign: AssignMessage) -> Lie? {
    guard isFaulty, random.chance(workers[place].plan.lies) else { return nil }
    var kinds: [Lie.Kind] = [.gradient, .loss, .notFinite]
    if assign.windows.contains(where: { $0.chains.contains(where: \.keepsChain) }) { kinds.append(.chain) }
    let kind = kinds.randomElement(using: &random) ?? .gradient
    outcome.count(
      kind == .notFinite ? .resultNotFinite : kind == .chain ? .wrongChain : .wrongResult)
    return Lie(kind: kind, using: &random)
  }

  /// Notes whose results are not what they should be.
  private func noteLies(of place: Int, in assign: AssignMessage, _ lie: Lie?) {
    let worker = workers[place]
    if let lie {
      note("worker \(place) lies in attempt \(assign.attempt): \(lie.kind)")
      liars.insert(worker.identity)
    }
    guard workers[place].wrongChains.computed(assign, lie: lie) else { return }
    run(worker.run).lies.insert(SimulatedDisk.Row.Key(term: worker.core.work.term, attempt: assign.attempt))
  }
}

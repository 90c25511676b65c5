import NestedLearning
import WireProtocol

/// Windows in the course of a unit: what workers are to do with their chains, and what the book is told.
extension ShardScheduler {
  /// What a worker is to do with its chains; empty: it returns gradients one by one. A backup and a second opinion keep
  /// nothing.
  func windowOrders(for progress: ShardProgress, worker: Worker, digestOnly: Bool) -> [WindowOrder] {
    if !progress.windows.isEmpty { return progress.windows }
    guard let windows, progress.unit.purpose == .train, progress.unit.window, !progress.unit.isVerified,
      !digestOnly,
      progress.running.isEmpty, progress.opinions.isEmpty
    else { return [] }
    let orders = windows.orders(
      for: progress.shard, step: progress.unit.step, isFlush: progress.unit.isFlush, worker: worker.id,
      mayHold: isSettled(progress, with: worker.id))
    return orders.contains { $0.chains.contains(where: \.keepsChain) } ? orders : []
  }

  /// Whether a shard is likely to come to the same worker again. Where there are more shards than workers, whoever is
  /// done first takes another one; chains that it began of that would have to be collected from it, again and again.
  private func isSettled(_ progress: ShardProgress, with id: Int) -> Bool {
    if holders[progress.slot] == id { return true }
    return !(open?.shards ?? []).contains { other in
      other.slot != progress.slot
        && (other.running.contains { attempts[$0]?.workerID == id }
          || other.opinions.contains { $0.votes.contains { $0.attempt.workerID == id } })
    }
  }

  /// It is not known how far the chains have gone that a hand-out was to change.
  mutating func forgetChains(of attempt: Attempt) {
    guard attempt.assignment.keepsChains else { return }
    windows?.lost(worker: attempt.workerID, shard: attempt.assignment.shard)
  }

  /// What cannot be collected is not waited for: its worker is gone, has said no, hangs, or is late. It is computed
  /// again then, which takes the others less time than an owner that stands still.
  mutating func giveUpCollecting(now: Instant) {
    guard let open, open.unit.purpose == .collect else { return }
    for (place, progress) in open.shards.enumerated() where !progress.isDone {
      guard let id = progress.pinnedTo else { continue }
      var canGive = progress.failures.count == 0
      switch workers[id]?.state {
      case .ready: break
      case .busy(let number):
        canGive =
          canGive
          && attempts[number].map {
            !$0.isExpired && collectionEnds(of: $0, opened: open.opened) > now
          } ?? false
      case .loading, .probing, nil: canGive = false
      }
      if !canGive { self.open?.shards[place].isGivenUp = true }
    }
  }

  /// How long an owner is waited for while it is at something. To give its chains it has the time of a shard that is
  /// not late, and longer while bytes come; to stop what is not needed any more takes it one layer, so half that of a
  /// micro-batch is plenty.
  private func collectionEnds(of attempt: Attempt, opened: Instant) -> Instant {
    guard let usual = times.usual(microBatches: 1, purpose: .train) else { return .never }
    if attempt.assignment.unit.purpose == .collect {
      let patience = max(settings.backupMedianFactor * usual, settings.backupFloorSeconds)
      return max(attempt.handedOut, attempt.grew) + patience
    }
    return opened + max(usual / 2, settings.backupFloorSeconds)
  }

  /// The next time at which an owner is late; `never` while nothing is collected.
  var collectionDeadline: Instant {
    guard let open, open.unit.purpose == .collect else { return .never }
    var next = Instant.never
    for progress in open.shards where !progress.isDone {
      guard let id = progress.pinnedTo, case .busy(let number) = workers[id]?.state,
        let attempt = attempts[number]
      else { continue }
      next = min(next, collectionEnds(of: attempt, opened: open.opened))
    }
    return next
  }

  /// Whether anybody could compute now.
  public var hasUsableWorkers: Bool { workers.values.contains(where: \.isUsable) }

  // MARK: - What came

  /// Tells the book what a complete unit has brought.
  mutating func noteWindows(of unit: OpenUnit) {
    guard windows != nil, unit.unit.window else { return }
    for progress in unit.shards where progress.claims == nil {
      guard let (opinion, payload) = progress.counted else {
        if let id = progress.pinnedTo { windows?.lost(worker: id, shard: progress.shard) }
        continue
      }
      switch unit.unit.purpose {
      case .evaluate: break
      case .collect:
        for report in opinion.summary.windows {
          let key = WindowKey(tier: report.tier, microBatch: report.microBatch)
          windows?.collected(key, through: report.last)
        }
      case .recompute:
        for tier in progress.shard.tiers {
          for microBatch in progress.shard.node.leaves(count: unit.unit.leafCount) {
            windows?.recomputed(
              WindowKey(tier: tier, microBatch: microBatch), step: progress.unit.step)
          }
        }
      case .train: noteStep(progress, opinion, payload: payload)
      }
    }
  }

  private mutating func noteStep(_ progress: ShardProgress, _ opinion: Opinion, payload: Int) {
    let (shard, step) = (progress.shard, progress.unit.step)
    let sender = opinion.votes.first { $0.attempt.number == payload }
    let id = sender?.attempt.workerID ?? 0
    var orders = sender?.attempt.assignment.windows ?? []
    if orders.isEmpty {
      orders =
        windows?.orders(
          for: shard, step: step, isFlush: progress.unit.isFlush, worker: id, mayHold: false) ?? []
    }
    windows?.took(
      orders, node: shard.node, step: step, worker: id, identity: sender?.attempt.identity ?? "",
      reports: sender?.summary.windows ?? [])
    for vote in opinion.votes where vote.attempt.number != payload && vote.attempt.assignment.keepsChains {
      windows?.alsoHolds(
        vote.attempt.assignment.windows, node: shard.node, step: step, worker: vote.attempt.workerID,
        identity: vote.attempt.identity, reports: vote.summary.windows)
    }
  }

  // MARK: - Checks

  /// What is wrong with what a result says of windows; nil if it is what was asked for.
  func windowFault(in result: ResultSummary, of assignment: Assignment) -> String? {
    guard let windows, !assignment.windows.isEmpty else {
      return result.windows.isEmpty ? nil : "it reports windows that it was not asked for"
    }
    let objects = Dictionary(
      result.objects.map { ($0.name, $0.sha256) }, uniquingKeysWith: { first, _ in first })
    var reports = result.windows.byKey
    guard reports.count == result.windows.count else { return "it reports a window twice" }
    let step = assignment.unit.step
    for (key, order, returns) in assignment.chainOrders where order != .skip {
      let name = "window \(key.tier).\(key.microBatch)"
      guard let report = reports.removeValue(forKey: key) else { return "it does not report \(name)" }
      if assignment.unit.purpose == .collect {
        if let fault = fault(inCollected: report, order: order, key: key, windows) {
          return "\(name) \(fault)"
        }
      } else if report.last != step || report.gradient == nil || (report.chain != nil) != order.keepsChain {
        return "\(name) does not end at step \(step)"
      } else {
        let first = order.keepsChain ? windows.clock.start(tier: key.tier, step: step) : step
        if report.first != first { return "\(name) begins at step \(report.first)" }
      }
      let gradient = objects[TierGradient.name(tier: key.tier, microBatch: key.microBatch)]
      if order == .separate && gradient != report.gradient { return "\(name) has another gradient" }
      let chain = objects[WindowChain.name(tier: key.tier, microBatch: key.microBatch)]
      if order.keepsChain && returns == .copy && chain != report.chain { return "\(name) has another chain" }
    }
    return reports.isEmpty ? nil : "it reports windows that it was not asked for"
  }

  /// What is wrong with what is said of a collected chain: it must be the one that the book has, and end where that
  /// does. A step that is beyond it would be taken for sums that are not there, one before it would be asked for again.
  private func fault(
    inCollected report: WindowReport, order: ChainOrder, key: WindowKey, _ windows: WindowTracker
  ) -> String? {
    guard case .proceed(let sha256) = order, report.chain == sha256, report.gradient == nil else {
      return "is another"
    }
    guard let steps = windows.steps(ofHeld: sha256, key) else { return "is not kept any more" }
    return steps == report.first...report.last
      ? nil
      : "has the steps \(report.first) to \(report.last), not \(steps.lowerBound) to \(steps.upperBound)"
  }

  /// A gradient that is computed again must be what its worker said when it was computed first. If it is not, another
  /// worker computes it as well, and if that agrees, the first one was wrong.
  ///
  /// - Returns: whether the shard counts.
  mutating func holdsToRecord(_ counted: Opinion, at place: Int, now: Instant) -> Bool {
    guard let progress = open?.shards[place], progress.unit.purpose == .recompute, let windows else {
      return true
    }
    for object in counted.summary.objects {
      for tier in progress.shard.tiers {
        for microBatch in progress.shard.node.leaves(count: progress.unit.leafCount)
        where object.name == TierGradient.name(tier: tier, microBatch: microBatch) {
          let key = WindowKey(tier: tier, microBatch: microBatch)
          // The word of a worker in quarantine is void.
          guard let recorded = windows.recorded(key, step: progress.unit.step),
            recorded.gradient != object.sha256, !voided.contains(recorded.identity)
          else { continue }
          guard progress.check == .demanded else {
            log("\(progress.name) is not what worker \(recorded.worker) came to; another computes it as well")
            open?.shards[place].check = .demanded
            mayWant = true
            open?.hasChecks = true
            return false
          }
          quarantine(
            recorded.worker, recorded.identity,
            "its result for \(progress.name) is not the one that \(counted.identities.count) others came to",
            now: now)
        }
      }
    }
    return true
  }
}

extension Assignment {
  /// Whether chains come back, which only their worker can vouch for.
  var returnsChains: Bool {
    windows.contains { $0.returns != .none && $0.chains.contains(where: \.keepsChain) }
  }

  /// Whether its worker's chains go on with it.
  var keepsChains: Bool {
    unit.purpose == .train && windows.contains { $0.chains.contains(where: \.keepsChain) }
  }

  /// Every (tier, micro-batch) with its order.
  var chainOrders: [(key: WindowKey, order: ChainOrder, returns: WindowOrder.Returns)] {
    windows.flatMap { order in
      zip(leaves, order.chains).map {
        (WindowKey(tier: order.tier, microBatch: $0), $1, order.returns)
      }
    }
  }

  /// Chains that the worker needs from here.
  var givenChains: [WindowKey] { chainOrders.filter { $0.order == .given }.map(\.key).sorted() }

  /// The objects that the orders ask for, with their lengths in bytes.
  func expectedOfWindows(tierParameterCounts: [Int]) -> [String: Int] {
    var expected: [String: Int] = [:]
    func bytes(_ tier: Int) -> Int {
      tierParameterCounts.indices.contains(tier) ? tierParameterCounts[tier] * 4 : 0
    }
    for (key, order, returns) in chainOrders {
      if order == .separate {
        expected[TierGradient.name(tier: key.tier, microBatch: key.microBatch)] = bytes(key.tier)
      } else if order.keepsChain && returns == .copy {
        expected[WindowChain.name(tier: key.tier, microBatch: key.microBatch)] = bytes(key.tier)
      }
    }
    for order in windows where order.returns == .sum {
      expected[TierGradient.name(tier: order.tier, microBatch: nil)] = bytes(order.tier)
    }
    return expected
  }
}

extension ResultSummary {
  /// What is compared: the digests of the step's gradients, whether their bytes came or went into chains.
  var word: [String: String] {
    let gradients = windows.compactMap { report in
      report.gradient.map { (TierGradient.name(tier: report.tier, microBatch: report.microBatch), $0) }
    }
    let pairs = gradients.isEmpty ? objects.map { ($0.name, $0.sha256) } : gradients
    return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
  }
}

extension WindowGaps {
  /// A unit that brings the chains that living workers have.
  public func collectUnit(step: Int, microBatchCount count: Int) -> WorkUnit {
    var parts: [UnitPart] = []
    for (worker, chains) in collect.sorted(by: { $0.key < $1.key }) {
      let tiers = Set(chains.keys.map(\.tier)).count
      var level = 0
      while 1 << level < count, level < 8, tiers << (level + 1) <= Planner.maximumGradients { level += 1 }
      for node in ReductionTree.nodes(level: level, count: count) {
        let leaves = node.leaves(count: count)
        let inside = chains.filter { leaves.contains($0.key.microBatch) }
        guard !inside.isEmpty else { continue }
        let tiers = Set(inside.keys.map(\.tier)).sorted()
        let orders = tiers.map { tier in
          WindowOrder(
            tier: tier, returns: .copy,
            chains: leaves.map { microBatch in
              inside[WindowKey(tier: tier, microBatch: microBatch)].map { .proceed(sha256: $0) } ?? .skip
            })
        }
        parts.append(UnitPart(shard: Shard(node: node, tiers: tiers), worker: worker, windows: orders))
      }
    }
    return WorkUnit(
      purpose: .collect, step: step, leafCount: count,
      dueTiers: Set(collect.values.flatMap { $0.keys.map(\.tier) })
        .sorted(), window: true, parts: parts)
  }

  /// A unit that computes again what was lost, with each step's own parameters: of the first steps, as many as make no
  /// more micro-batches than one step has, since all of them are kept until the last has come.
  ///
  /// - Parameter versions: those of a step.
  /// - Returns: nil if a step's parameters are not kept any more.
  public func recomputeUnit(microBatchCount count: Int, versions: (Int) -> [TierVersion]?) -> WorkUnit? {
    var parts: [UnitPart] = []
    for (step, keys) in recompute.sorted(by: { $0.key < $1.key }) {
      let tiers = Dictionary(grouping: keys, by: \.microBatch).mapValues { $0.map(\.tier).sorted() }
      guard parts.isEmpty || parts.count + tiers.count <= count else { break }
      guard let versions = versions(step) else { return nil }
      parts += tiers.sorted { $0.key < $1.key }.map { microBatch, tiers in
        UnitPart(
          shard: Shard(node: TreeNode(level: 0, index: microBatch), tiers: tiers),
          earlier: EarlierStep(step: step, versions: versions))
      }
    }
    return .again(parts, leafCount: count)
  }
}

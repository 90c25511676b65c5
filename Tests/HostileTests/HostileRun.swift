import NestedLearning
import WireProtocol

@testable import Coordination

/// A run's part of a hostile cluster: five steps with windows, an evaluation, what windows lack, and the end.
struct HostileRun {
  static let microBatchCount = 2
  static let stepCount = 5
  /// Values in each tier.
  static let counts = [3, 2]
  static let clock = WindowClock(frequencies: [1, 3])

  let usesWindows: Bool
  var step = 0
  var versions = counts.map { _ in 0 }
  var sums: WindowSums<[Float]>
  var archive: [Int: [TierVersion]] = [:]
  var payloads: [Int: ResultMessage] = [:]
  var incoming: ResultMessage?
  var unit: WorkUnit?
  /// Of a step whose windows lack something, until they have it.
  var pending: CompletedUnit?
  var audits: [WorkUnit] = []
  var hasEvaluated = false
  /// Units since the last step was begun.
  var rounds = 0
  var problems: [String] = []

  init(usesWindows: Bool) {
    self.usesWindows = usesWindows
    sums = WindowSums(clock: Self.clock, microBatchCount: Self.microBatchCount) { Vectors.add($1, to: &$0) }
  }

  var tiers: [TierVersion] { versions.enumerated().map { TierVersion(version: $1, digest: "\($0).\($1)") } }

  /// The next unit; nil at the end.
  mutating func next() -> WorkUnit? {
    if step == 2, !hasEvaluated {
      hasEvaluated = true
      return WorkUnit(purpose: .evaluate, step: step, leafCount: 1, dueTiers: [])
    }
    guard step < Self.stepCount else { return nil }
    step += 1
    rounds = 0
    archive[step] = tiers
    let due = usesWindows ? [0, 1] : [0, 1].filter { Self.clock.isBoundary(tier: $0, step: step) }
    return WorkUnit(
      purpose: .train, step: step, leafCount: Self.microBatchCount, dueTiers: due, window: usesWindows,
      isFlush: step == 4)
  }

  /// Takes what a unit has brought, and says what is to be computed before the step can be applied.
  mutating func take(_ unit: CompletedUnit, book: WindowTracker?) -> WorkUnit? {
    for result in unit.results {
      guard let message = payloads[result.attempt] else {
        problems.append("the bytes of attempt \(result.attempt) are missing")
        continue
      }
      keep(message, of: result, unit.unit)
    }
    payloads = [:]
    rounds += 1
    if rounds > 100 { problems.append("step \(step) is completed without end") }
    if unit.unit.purpose == .train { pending = unit }
    if !unit.audits.isEmpty {
      audits = WindowAudit.units(of: unit.audits, microBatchCount: Self.microBatchCount) { archive[$0] }
    }
    if !audits.isEmpty { return audits.removeFirst() }
    guard pending != nil, let book else { return nil }
    check(book)
    let gaps = book.gaps(tiers: due, through: step)
    if !gaps.collect.isEmpty { return gaps.collectUnit(step: step, microBatchCount: Self.microBatchCount) }
    guard !gaps.recompute.isEmpty else { return nil }
    let again = gaps.recomputeUnit(microBatchCount: Self.microBatchCount) { archive[$0] }
    if again == nil { problems.append("steps \(gaps.recompute.keys.sorted()) are lost of \(step)") }
    return again
  }

  private var due: [Int] {
    step == 4 ? [0, 1] : [0, 1].filter { Self.clock.isBoundary(tier: $0, step: step) }
  }

  private mutating func keep(_ message: ResultMessage, of result: CountedResult, _ unit: WorkUnit) {
    for report in message.windows
    where !(1...Self.stepCount).contains(report.first)
      || !(1...Self.stepCount).contains(report.last)
    {
      problems.append("steps \(report.first) to \(report.last) of \(unit) were taken")
    }
    for gradient in message.gradients {
      let values = (try? gradient.values.floats()) ?? []
      guard values.count == Self.counts[gradient.tier] else {
        problems.append("\(values.count) values of tier \(gradient.tier) were taken")
        continue
      }
      guard unit.window else { continue }
      if let microBatch = gradient.microBatch {
        sums.take(values, of: WindowKey(tier: gradient.tier, microBatch: microBatch), step: result.step)
      } else {
        sums.take(sum: values, at: result.shard.node, tier: gradient.tier, step: result.step)
      }
    }
    for chain in message.chains {
      let report = message.windows.first { $0.tier == chain.tier && $0.microBatch == chain.microBatch }
      sums.take(
        chain: (try? chain.values.floats()) ?? [],
        of: WindowKey(tier: chain.tier, microBatch: chain.microBatch),
        through: report?.last ?? result.step)
    }
  }

  /// No chain is ever further than the step that is computed.
  private mutating func check(_ book: WindowTracker) {
    for tier in Self.counts.indices {
      for microBatch in 0..<Self.microBatchCount {
        guard let chain = book.chain(tier, microBatch, at: step) else { continue }
        if chain.through > step || chain.pending.contains(where: { $0 > step })
          || chain.held?.through ?? 0 > step
        {
          problems.append("chain \(tier).\(microBatch) is at step \(chain.through) of \(step)")
        }
      }
    }
  }

  /// Applies the step that waits.
  ///
  /// - Returns: tiers that have new parameters.
  mutating func apply() -> [Int: TierVersion] {
    pending = nil
    let changed = Self.counts.indices.filter { Self.clock.isBoundary(tier: $0, step: step) }
    for tier in changed {
      if usesWindows {
        do {
          let total = try sums.total(tier: tier, boundary: step)
          if total.count != Self.counts[tier] { problems.append("a total of \(total.count) values") }
        } catch { problems.append("step \(step), tier \(tier): \(error)") }
        sums.close(tier: tier, boundary: step)
      }
      versions[tier] += 1
    }
    return Dictionary(uniqueKeysWithValues: changed.map { ($0, tiers[$0]) })
  }
}

import Coordination
import Digests
import Ledger
import NestedLearning
import Tensors
import Training
import WireProtocol

/// A shard that was computed again, beside what the ledger has of it.
struct ShardProof {
  let result: UnitResult
  let recorded: RecordedShard?
  private let digestAgrees: Bool
  private let trace: LayerDigestRecord?
  private let modules: [(tier: Int, parts: [ModulePart])]
  private let usesWindows: Bool
  /// Whether the partial sums of the worker are those that come of right gradients; nil: it kept none, or they are not
  /// recorded.
  private var sumsAgree: Bool?
  /// The digests of modules, as the worker has made them.
  private var own: LayerDigests

  init(
    _ shard: Shard, _ message: ResultMessage, _ recorded: RecordedShard?, _ step: RecordedStep,
    layout: TierLayout, usesWindows: Bool
  ) {
    let digest = ShardDigest(ResultSummary(message))
    let counted = CountedResult(
      shard: shard, step: step.record.step, attempt: message.attempt, workerID: 0, identity: "",
      digest: digest)
    result = UnitResult(counted, message)
    self.recorded = recorded
    self.usesWindows = usesWindows
    digestAgrees = recorded.map { $0.record.digest == digest.bytes } ?? true
    trace = recorded.flatMap { step.trace(of: $0.record) }
    modules = shard.tiers.map { ($0, layout.modules(tier: $0)) }
    own = message.layers ?? LayerDigests()
  }

  /// Whether the result that the step was made from is this one.
  var isSame: Bool { digestAgrees }

  /// Looks at the partial sums that the shard's worker kept, once the step's gradients are in the windows.
  ///
  /// - Parameter chain: this machine's own.
  mutating func lookAtPartialSums(_ chain: (WindowKey) -> [Float]?, leafCount: Int) throws {
    guard let trace, !trace.partialSums.isEmpty || !trace.windowSums.isEmpty else { return }
    var agree = true
    var digests: [Int: [WordDigest]] = [:]
    for kept in trace.partialSums.sorted(by: { ($0.tier, $0.microBatch) < ($1.tier, $1.microBatch) }) {
      guard let values = chain(WindowKey(tier: kept.tier, microBatch: kept.microBatch)),
        let parts = modules.first(where: { $0.tier == kept.tier })?.parts
      else {
        agree = false
        continue
      }
      agree = agree && LayerDigestRecord.beginning(of: Digest.sha256(floats: values)) == kept.digest
      var all = digests[kept.tier] ?? Array(repeating: WordDigest(), count: parts.count)
      values.withUnsafeBufferPointer { values in
        for (place, part) in parts.enumerated() {
          all[place].add(UnsafeBufferPointer(rebasing: values[part.range]))
        }
      }
      digests[kept.tier] = all
    }
    own.sums =
      digests.isEmpty
      ? []
      : modules.flatMap { tier, parts in
        (digests[tier] ?? Array(repeating: WordDigest(), count: parts.count)).map(\.value)
      }
    for sum in trace.windowSums {
      let total = try ReductionTree.reduce(
        result.shard.node, count: leafCount,
        leaf: { chain(WindowKey(tier: sum.tier, microBatch: $0)) ?? [] }, add: { Vectors.add($1, to: &$0) })
      agree = agree && LayerDigestRecord.beginning(of: Digest.sha256(floats: total)) == sum.digest
    }
    sumsAgree = agree
  }

  /// What is wrong with what is recorded of the shard; nil if it is proved.
  ///
  /// - Parameter stepAgrees: whether the state after the step is the recorded one, and all of the shard's gradients are
  ///   in it.
  func fault(stepAgrees: Bool) -> StepFault? {
    guard let recorded else { return nil }
    let layers = LayerComparison(trace, own: own, modules: modules.flatMap { $0.parts.map(\.name) })
    if digestAgrees {
      if sumsAgree == false {
        return fault(
          .accumulate, layers.sum?.layer, recorded, "its partial sums of the window, \(recorded.place)")
      }
      guard let place = layers.way ?? layers.sum else { return nil }
      return fault(
        .record, place.layer, recorded, "the digests of the layers are not those of \(recorded.place)")
    }
    if let place = layers.way { return fault(place.direction, place.layer, recorded, recorded.place) }
    if !usesWindows, let sum = layers.sum { return fault(.accumulate, sum.layer, recorded, recorded.place) }
    if stepAgrees || sumsAgree == true {
      return fault(
        .record, nil, recorded, "the digest of \(recorded.place) is not that of the result which was applied")
    }
    return fault(
      .gradient, nil, recorded,
      recorded.place
        + (layers.isRecorded
          ? "; the digests of its layers are right, so it sent something else than it computed, or the ledger was changed"
          : "; no digests of its layers are kept"))
  }

  private func fault(
    _ direction: StepFault.Direction, _ layer: String?, _ recorded: RecordedShard, _ detail: String
  ) -> StepFault {
    StepFault(
      step: result.step, direction: direction, layer: layer,
      worker: direction == .record ? nil : recorded.worker, detail: detail)
  }
}

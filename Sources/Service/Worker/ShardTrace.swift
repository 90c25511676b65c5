import LanguageModel
import Tensors
import Training
import WireProtocol

/// Takes digests of what a shard of training comes to on its way, for RESULT.
final class ShardTrace {
  /// For the model.
  let layers: LayerTrace
  private let threads: ThreadPool
  /// By tier of the shard, ascending.
  private let modules: [(tier: Int, parts: [ModulePart])]
  private var losses = WordDigest()
  private var gradients: [Int: [WordDigest]] = [:]
  private var sums: [Int: [WordDigest]] = [:]

  init(_ assignment: AssignMessage, layout: TierLayout, layerCount: Int, threads: ThreadPool) {
    layers = LayerTrace(layerCount: layerCount)
    self.threads = threads
    modules = assignment.tiers.map { ($0, layout.modules(tier: $0)) }
  }

  /// The losses of a micro-batch.
  func add(loss: Double, terms: ObjectiveTerms?) {
    losses.add(loss.bitPattern)
    for bits in terms?.bitPatterns ?? [] { losses.add(bits) }
  }

  /// A micro-batch's own gradient of a tier.
  func add(gradient values: [Float], tier: Int) { add(values, tier: tier, to: &gradients) }

  /// What a tier's gradients were added up to: the sum over the node, or the chain of one micro-batch.
  func add(sum values: [Float], tier: Int) { add(values, tier: tier, to: &sums) }

  private func add(_ values: [Float], tier: Int, to digests: inout [Int: [WordDigest]]) {
    guard let parts = modules.first(where: { $0.tier == tier })?.parts else { return }
    var all = digests[tier] ?? Array(repeating: WordDigest(), count: parts.count)
    values.withUnsafeBufferPointer { values in
      for (place, part) in parts.enumerated() where part.range.upperBound <= values.count {
        all[place].add(UnsafeBufferPointer(rebasing: values[part.range]), on: threads)
      }
    }
    digests[tier] = all
  }

  /// Nil if there are more of them than a message may have.
  var digests: LayerDigests? {
    let all = LayerDigests(
      forward: layers.forward.map(\.value) + [losses.value], backward: layers.backward.map(\.value),
      gradients: list(gradients), sums: list(sums))
    return all.isWithinLimits ? all : nil
  }

  /// Of all modules, or none: a tier of which nothing has come has the digest of nothing.
  private func list(_ digests: [Int: [WordDigest]]) -> [UInt64] {
    guard !digests.isEmpty else { return [] }
    return modules.flatMap { tier, parts in
      (digests[tier] ?? Array(repeating: WordDigest(), count: parts.count)).map(\.value)
    }
  }
}

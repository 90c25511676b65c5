import Coordination
import Foundation
import NestedLearning
import Service
import Tensors
import Training
import WireProtocol

/// What all canned workers answer: numbers that are finite, small and not zero, the same for every worker, attempt and
/// micro-batch, so that what one sent another could have sent. Prepared once.
final class CannedAnswers: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Int: [Float]] = [:]
  private var sums: [Int: TierGradient] = [:]
  private var probes: [UInt64: String] = [:]

  /// A tier's gradient.
  private func gradient(tier: Int, count: Int) -> [Float] {
    lock.withLock {
      if let known = values[tier] { return known }
      let made = (0..<count).map { Float($0 % 31 + 1) * 1e-5 }
      values[tier] = made
      return made
    }
  }

  /// The same as a node's sum, with its digest, in memory that it is sent from.
  private func sum(tier: Int, count: Int) -> TierGradient? {
    let floats = gradient(tier: tier, count: count)
    return lock.withLock {
      if sums[tier] == nil {
        sums[tier] = TierGradient(
          WireObject(name: TierGradient.name(tier: tier, microBatch: nil), sharing: floats))
      }
      return sums[tier]
    }
  }

  /// What the probe comes to on this machine.
  func probe(seed: UInt64) throws -> String {
    try lock.withLock {
      if let known = probes[seed] { return known }
      let digest = try NumericProbe.sha256(
        seed: seed, threads: ThreadPool(threads: 1), precision: .f32)
      probes[seed] = digest
      return digest
    }
  }

  /// Answers as a worker would that has computed. With windows its chains go on by real sums, which have to be right.
  ///
  /// - Parameters:
  ///   - layout: that of WELCOME.
  ///   - chains: those that this worker keeps.
  func result(of message: AssignMessage, _ layout: TierLayout, _ chains: inout WorkerChains) throws
    -> ResultMessage
  {
    if message.purpose == .collect { return try chains.collect(message) }
    var outcome = WorkerChains.Outcome()
    let tiers = message.tiers.filter(layout.tiers.indices.contains)
    if message.window {
      let gradients = windowGradients(of: message, tiers, layout)
      if message.windows.isEmpty {
        outcome.gradients = gradients.map {
          TierGradient(tier: $0.tier, microBatch: $0.microBatch, floats: $1)
        }
      } else {
        outcome = try chains.add(gradients, message)
      }
    } else {
      outcome.gradients = tiers.compactMap { sum(tier: $0, count: layout.count(tier: $0)) }
    }
    let gradients = outcome.gradients.sorted { ($0.tier, $0.microBatch ?? 0) < ($1.tier, $1.microBatch ?? 0) }
    let tokens = message.microBatches.reduce(0) { $0 + $1.trainedTokens }
    return ResultMessage(
      attempt: message.attempt, lossSum: 2 * Double(tokens), tokens: tokens, seconds: 0,
      gradients: message.digestOnly ? [] : gradients,
      digests: message.digestOnly ? gradients.map(GradientDigest.init) : [], chains: outcome.chains,
      windows: outcome.reports)
  }

  private func windowGradients(
    of message: AssignMessage, _ tiers: [Int], _ layout: TierLayout
  ) -> [WindowKey: [Float]] {
    var all: [WindowKey: [Float]] = [:]
    for tier in tiers {
      let values = gradient(tier: tier, count: layout.count(tier: tier))
      for microBatch in message.microBatches {
        all[WindowKey(tier: tier, microBatch: microBatch.number)] = values
      }
    }
    return all
  }
}

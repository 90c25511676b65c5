import Foundation
import NestedLearning
import WireProtocol

/// Where the faults of a worker's arithmetic happen.
extension Failpoints {
  /// Before a shard is computed.
  ///
  /// - Throws: for a step that cannot be computed.
  func beforeShard(of message: AssignMessage) throws {
    die(at: .exitCompute)
    if fires(.computeStop) { kill(getpid(), SIGSTOP) }
    while fires(.computeHang) { sleep(3600) }
    if number(.computePoison) == Double(message.step), message.purpose == .train, fires(.computePoison) {
      throw ServiceError("the failpoint \(Failpoint.computePoison.rawValue) is set to step \(message.step)")
    }
  }

  /// After a micro-batch that took so long; `seconds` are those of the arithmetic.
  func afterMicroBatch(seconds: Double) {
    var more = number(.computeDelay) ?? 0
    if let most = number(.computeJitter) { more += Double.random(in: 0...most) }
    if let factor = number(.computeSlow) { more = (more + seconds) * factor - seconds }
    if more > 0 { usleep(UInt32(min(more * 1e6, 3.6e9))) }
  }

  /// One micro-batch's gradient of one tier.
  func tamper(with values: inout [Float]) {
    guard !values.isEmpty else { return }
    if fires(.gradientWrong) { values[0] += 1 }
    if fires(.gradientNaN) { values[0] = .nan }
  }

  /// A chain that has gone on by a step; says whether it was changed.
  func tamper(withChain values: inout [Float]) -> Bool {
    guard !values.isEmpty, fires(.chainWrong) else { return false }
    values[0] += 1
    return true
  }
}

/// Where the faults of a coordinator's arithmetic happen.
extension Failpoints {
  /// The sum of a step's gradients, before it is divided and applied.
  func tamper(withSum gradients: inout StepGradients) {
    var sums: GradientSums
    switch gradients {
    case .sums(let all), .windowTotals(let all): sums = all
    case .scaledMicroBatches: return
    }
    guard let name = sums.keys.sorted().first, fires(.reductionWrong) else { return }
    if sums[name]?.isEmpty == false { sums[name]?[0] += 1 }
    if case .sums = gradients { gradients = .sums(sums) } else { gradients = .windowTotals(sums) }
  }
}

import Foundation
import LanguageModel
import NestedLearning
import Training

/// What the losses of tasks weigh after a step, where that is learned: ½e^(−s) with `uncertainty`, w with `gradnorm`.
enum LearnedTaskWeights {
  /// - Returns: by the number of the task; nil where weights are not learned, or the step did not change them
  static func of(_ applied: AppliedStep, _ contents: any RunContents) -> [Double]? {
    switch contents.config.tasksWeighting {
    case .equal: nil
    case .uncertainty:
      parameter(TaskHead.logVariancesName, applied, contents)?.map { 0.5 * exp(-Double($0)) }
    case .gradnorm: parameter(TaskHead.weightsName, applied, contents)?.map { Double($0) }
    }
  }

  private static func parameter(
    _ name: String, _ applied: AppliedStep, _ contents: any RunContents
  ) -> [Float]? {
    guard let tier = contents.scheduler.tier(of: name),
      let values = applied.changed.first(where: { $0.tier == tier })?.values
    else { return nil }
    var place = 0
    for other in contents.scheduler.tiers[tier].parameters {
      let count = contents.initialValues[other]?.count ?? 0
      guard other == name else {
        place += count
        continue
      }
      return try? values.withFloats { $0.count >= place + count ? Array($0[place..<place + count]) : nil }
    }
    return nil
  }
}

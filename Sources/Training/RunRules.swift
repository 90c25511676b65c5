import Coordination
import NestedLearning
import WireProtocol

/// What the course of a run depends on and does not change while it goes on. Times are in seconds.
package struct RunRules: Sendable {
  package let config: NestedLearningConfig
  package let plan: TierPlan
  package let batches: any BatchSource
  /// What a snapshot will hold at most, in bytes: a guess of its cost until there is a measured one.
  package var stateBytes: Int
  /// The key of dropout masks; nil without dropout.
  package var dropoutSeed: UInt64?
  /// Whether gradients are of more than the cross entropy of every trained token.
  package var hasObjective = false
  /// Where tasks share the transformer: the names of all, and of each the number of labels that evaluations count.
  package var tasks: [(name: String, labels: Int)] = []
  /// What the run looks at, if it is one that trains nothing: there are no evaluations and no snapshots then.
  package var measurement: MeasuredQuantity?
  /// How texts are drawn, where these are what it looks at.
  package var sampling: TextSampling?
  /// The command that goes on with the run, for error messages.
  package var resumeCommand: String
  /// Whether workers are left to join again when the run is stopped, as whatever started it will start it again.
  package var keepsWorkersAtStop = false
  /// How long a stop by the system may take, for error messages; the deadline itself comes with the stop.
  package var graceSeconds = 0.0
  /// How long the run waits for a disk, or a locked ledger, before it ends.
  package var diskPatienceSeconds = 600.0
  /// How long writing everything down may take once the grace of a stop is over.
  package var closingSeconds = 10.0

  package init(
    config: NestedLearningConfig, plan: TierPlan, batches: any BatchSource, stateBytes: Int,
    dropoutSeed: UInt64? = nil, resumeCommand: String
  ) {
    self.config = config
    self.plan = plan
    self.batches = batches
    self.stateBytes = stateBytes
    self.dropoutSeed = dropoutSeed
    self.resumeCommand = resumeCommand
  }

  /// Whether gradients of tiers that are not due are kept, in windows.
  var usesWindows: Bool { config.inactiveGradients != .discard }
  /// Whether the slowest copy of `tier_mode: consolidate` follows after a step.
  func slowestFollows(at step: Int) -> Bool {
    step % (plan.scheduler.copyFrequencies?.last ?? 1) == 0
  }
  /// Whether evaluations count the tokens that are right, for a curriculum that follows them.
  var wantsAccuracy: Bool { config.curriculumStrategy.followsEvaluations && measurement == nil }
  /// Whether every gradient is to be compared by its bytes, so that workers keep no partial sums.
  var alwaysSeparate: Bool { config.verifyFraction >= 1 }
}

import JSON
import LanguageModel
import Ledger
import NestedLearning
import Tensors
import Training
import WireProtocol

/// What a run trains and on what, as its coordinator and its workers need it: a language model with its data (`RunPlan`),
/// or the continuum memory system.
protocol TrainedRun: RunContents {
  /// Where the base model is, for people and for workers on this machine.
  var modelPath: String { get }
  /// Tells the model from all others.
  var modelSHA256: String { get }
  /// What workers may fetch; nil: they make the model by themselves.
  var modelFolder: ModelFolder? { get }
  /// What is trained, as workers are told.
  var trainableJSON: JSONValue { get }
  /// What gradients are of; nil: the network's own loss.
  var objective: Objective? { get }
  /// Where tasks share the transformer: their heads.
  var heads: [TaskHead] { get }
  /// What is measured in place of training; nil of a run that trains.
  var measurement: MeasuredQuantity? { get }
  /// How texts are drawn that a model writes; nil of a run that has none written.
  var sampling: TextSampling? { get }
  /// That of the workers' products.
  var precision: Precision { get }
  /// The text of the run folder's config.json.
  var recordedConfig: JSONValue { get }
  var batchSource: any BatchSource { get }
  /// The key of dropout masks; nil without dropout.
  var dropoutSeed: UInt64? { get }
  /// What the state holds at most.
  var stateBytes: Int { get }
  /// Whether the metrics say how large the sums of open windows are, wherever they are here.
  var notesWindowNorms: Bool { get }
}

extension TrainedRun {
  var heads: [TaskHead] { [] }

  /// How tiers travel.
  var layout: TierLayout { TierLayout(scheduler: scheduler, shapes: shapes) }

  /// What the course of the run depends on.
  func rules(_ options: RunOptions, folder: String) -> RunRules {
    var rules = RunRules(
      config: config, plan: TierPlan(scheduler: scheduler), batches: batchSource, stateBytes: stateBytes,
      dropoutSeed: dropoutSeed, resumeCommand: "nl-coord resume \(folder)")
    rules.hasObjective = objective != nil
    rules.tasks = heads.map { ($0.name, $0.kind == .languageModeling ? 0 : $0.labels.count) }
    rules.measurement = measurement
    rules.sampling = sampling
    rules.keepsWorkersAtStop = options.isStartedAgain
    rules.graceSeconds = options.operations.graceSeconds
    if let seconds = options.failpoints.number(.diskPause) { rules.diskPatienceSeconds = seconds }
    return rules
  }

  /// The tiers that it begins with, for the ledger.
  var tierPlan: TierPlanRecord { TierPlanRecord(TierPlan(scheduler: scheduler)) }
}

extension RunPlan: TrainedRun {
  var modelPath: String { folder.path }
  var modelSHA256: String { inputs.model }
  var modelFolder: ModelFolder? { folder }
  var notesWindowNorms: Bool { false }
}

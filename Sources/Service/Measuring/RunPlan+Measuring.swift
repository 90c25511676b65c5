import Dataset
import Digests
import JSON
import NestedLearning
import Training

/// A run that measures something for another.
extension RunPlan {
  /// As many steps as the rows need.
  static func sized(
    _ config: NestedLearningConfig, _ measurement: MeasuredQuantity, _ task: RowSet, _ replay: RowSet?,
    _ texts: SelfReplayPlan?
  ) -> NestedLearningConfig {
    var config = config
    switch measurement {
    case .importance: break
    case .tokenLosses:
      config.numSteps =
        MeasuringBatches(
          rows: task, batchSize: config.batchSize, perStep: config.gradientAccumulationSteps
        ).steps
    case .texts:
      config.numSteps =
        StartBatches(
          starts: texts?.texts.starts ?? [], rows: config.batchSize, perStep: config.gradientAccumulationSteps
        ).steps
    case .squaredGradients:
      config.numSteps = 1
      config.gradientAccumulationSteps = max(1, min(config.ewcRows, replay?.count ?? 0))
    }
    return config
  }

  /// Names what this run measures by everything that decides it.
  private var measurementKey: String {
    let places: Set = [
      "base_model_path", "adapter_path", "train_data_path", "val_data_path", "replay_data_path",
      "output_path",
      "experiment_name", "verify_fraction", "activation_checkpointing",
    ]
    var members = (config.json().object ?? JSONObject()).members.filter { !places.contains($0.key) }
    var parts = (inputs.json.object ?? JSONObject()).members.filter { $0.key != "files" }
    if measurement == .texts {
      // Neither data nor an adapter has a say in what the base model writes.
      members.removeAll {
        !["seed", "max_seq_length", "add_tokens"].contains($0.key) && !$0.key.hasPrefix("self_replay")
      }
      parts.removeAll { !["model", "tokenizer"].contains($0.key) }
    }
    members += parts
    let text = JSONValue.object(JSONObject(members)).text
    return Digest.sha256("measured 1\n\(measurement?.rawValue ?? "")\n\(numericProfile)\n\(text)")
  }

  /// What was measured before, if it was.
  var knownValues: MeasuredValues? { measurements.values(measurementKey) }

  /// Keeps what this run has measured.
  package func keep(_ values: MeasuredValues) { measurements.keep(values, as: measurementKey) }

  /// What adds up what this run measures; nil of one that trains.
  package var measurer: Measurer? {
    measurement.map { measurement in
      Measurer(
        measurement,
        modules: Dictionary(parameters.map { ($0.name, $0.module) }, uniquingKeysWith: { first, _ in first }),
        textLength: selfReplay?.texts.maxTokens ?? 1)
    }
  }
}

import Foundation
import Harness
import JSON
import NestedLearning
import NestedLoRA
import Testing

/// A curriculum in one process comes to the bits of a coordinator with two workers, evaluations that it follows included.
@Suite(.serialized) struct CurriculumTrainerTests {
  @Test(
    arguments: [
      [
        "curriculum_strategy": "stages", "curriculum_stages": ["0:0.5:0:0.02", "0.3:1:0"],
        "select_scale": true,
      ],
      [
        "curriculum_strategy": "competence", "curriculum_initial": 1, "curriculum_delta": 0.2,
        "curriculum_patience": 1,
      ],
      ["sampling_mode": "length", "sampling_length_mode": "progressive"],
      [
        "curriculum_strategy": "stages", "inactive_gradients": "sum", "sampling_difficulty": "length",
        "curriculum_stages": [
          ["target": 0, "frequencies": [1, 3, 3], "batch_size": 1], ["target": 1, "frequencies": [1, 1, 2]],
        ],
      ],
      // Modules that move, with rates by tier.
      [
        "curriculum_strategy": "stages", "inactive_gradients": "mean", "sampling_difficulty": "length",
        "tier_update_frequencies": [1, 2, 2], "tier_lr_scale": "inverse_frequency",
        "curriculum_stages": [
          ["target": 0, "tier_map": ["*.2.*.v_proj": 0]],
          [
            "target": 0, "tier_map": ["*.0.*.q_proj": 2, "*.1.*.q_proj": 0, "*.2.*": 1],
            "frequencies": [1, 3, 3],
          ], ["target": 1],
        ],
      ],
    ] as [[String: JSONValue]])
  func sameBitsAsTheCluster(changes: [String: JSONValue]) throws {
    let common: [String: JSONValue] = ["eval_every": 2]
    let run = try TrainingRun(common.merging(changes) { $1 })
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    var members = run.config
    members["output_path"] = .string(run.scratch.path("alone"))
    try run.scratch.write("alone.json", JSONValue.object(members).text)
    var (steps, accuracies): ([TrainingStep], [Double?]) = ([], [])
    let result = try NestedLoRATrainer(configFile: run.scratch.path("alone.json"), threads: 2).train(
      TrainingCallbacks(
        onStep: { step in
          steps.append(step)
          return .goOn
        },
        onEvaluation: { evaluation in
          accuracies.append(evaluation.accuracy)
          return .goOn
        }))
    #expect(try result.stateDigest == run.stateDigest())
    let metrics = try run.metrics()
    #expect(steps.map { $0.sampling?.difficulty } == metrics.map { $0["sampled_difficulty"]?.double })
    #expect(steps.map { $0.sampling?.stage } == metrics.map { $0["curriculum_stage"]?.int })
    let evaluations = try rows(run.file("metrics/eval_metrics.jsonl"))
    #expect(accuracies == evaluations.map { $0["accuracy"]?.double })
  }
}

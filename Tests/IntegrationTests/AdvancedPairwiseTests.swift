import Foundation
import Harness
import JSON
import Testing

/// Advanced training by pairs: curricula, tasks and their weights, layers that learn later, windows, rates that follow
/// evaluations. Any two that go together are in one of these runs, and each run comes to the same bits with one worker, with
/// three of which one is killed, and after its coordinator was killed.
@Suite struct AdvancedPairwiseTests {
  private static func tasks(_ changes: [String: JSONValue]) -> [String: JSONValue] {
    let common: [String: JSONValue] = [
      "train_data_path": .string(Fixtures.path("data/tasks.jsonl")),
      "val_data_path": .string(Fixtures.path("data/tasks_valid.jsonl")),
    ]
    return common.merging(changes) { $1 }
  }

  static let factors = [
    Pairs.Factor(
      name: "curriculum",
      values: [
        ("none", [:]),
        (
          "progressive",
          ["curriculum_strategy": "progressive", "curriculum_initial": 0.4, "sampling_difficulty": "length"]
        ),
        ("sqrt", ["curriculum_strategy": "competence_sqrt"]),
        (
          "stages",
          [
            "curriculum": [
              "strategy": "stages",
              "stages": [
                ["range": [0, 0.6], "target": 0.0, "learning_rate": 0.02], ["range": [0.2, 1], "target": 1],
              ],
            ]
          ]
        ),
        (
          "plans",
          [
            "curriculum": [
              "strategy": "stages",
              "stages": [
                ["target": 0, "frequencies": [1, 3, 5]], ["target": 0, "frequencies": [2, 2, 3]],
                ["target": 1, "frequencies": [1, 1, 2]],
              ],
            ]
          ]
        ),
      ]),
    Pairs.Factor(
      name: "tasks",
      values: [
        ("none", [:]), ("equal", tasks(["tasks": taskList])),
        (
          "uncertainty",
          tasks(["tasks": taskList, "tasks_weighting": "uncertainty", "tasks_schedule": "round_robin"])
        ),
      ]),
    Pairs.Factor(
      name: "layers",
      values: [
        ("all", [:]), ("gradual", ["adaptation": ["unfreeze": "gradual"], "batch_size": 6]),
        ("stages", ["unfreeze_schedule": ["step 3": 3], "layer_lr_decay": 0.5, "freeze": ["0"]]),
      ]),
    Pairs.Factor(
      name: "gradients",
      values: [
        ("discard", [:]), ("mean", ["inactive_gradients": "mean", "flush_every": 2]),
        ("sum", ["inactive_gradients": "sum"]),
      ]),
    Pairs.Factor(
      name: "rate",
      values: [
        ("constant", [:]),
        (
          "plateau",
          ["lr_schedule": "plateau", "plateau_patience": 0, "eval_every": 1, "learning_rate": 0.05]
        ),
      ]),
  ]

  private static let taskList: JSONValue = [
    ["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"], "hidden_size": 20],
    ["name": "tag", "type": "token_classification", "labels": ["word", "name", "number"]],
    ["name": "text", "type": "language_modeling"],
  ]

  /// Rows of tasks are taken by task, and a stage says the rate itself.
  @Sendable static func goTogether(_ row: [Int?]) -> Bool {
    !((row[0] ?? 0) > 0 && (row[1] ?? 0) > 0) && !(row[0] == 3 && row[4] == 1)
  }

  static let pairs = Pairs(factors: factors, goTogether: goTogether)

  @Test func everyPairIsThere() {
    let rows = Self.pairs.rows
    #expect(Set(rows.flatMap(Self.pairs.pairs)) == Set(Self.pairs.all))
    print(rows.map { "pairs: " + Self.pairs.name($0) }.joined(separator: "\n"))
  }

  @Test(arguments: pairs.rows) func oneAnswer(row: [Int]) throws {
    let common: [String: JSONValue] = ["num_steps": 8, "eval_every": 2, "checkpoint_every": 3]
    let changes = common.merging(Self.pairs.keys(row)) { $1 }
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let (adapter, state) = (try reference.adapterHash(), try reference.stateDigest())
    let killed = try TrainingRun(changes)
    try killed.train(
      ["--local-workers", "3", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "exit.upload@13", "NL_TOKEN_CACHE": "off"])
    #expect(try killed.adapterHash() == adapter && killed.stateDigest() == state, "\(Self.pairs.name(row))")
    let resumed = try TrainingRun(changes)
    _ = try resumed.start(environment: ["NL_FAILPOINTS": "exit.persist@9"]).wait()
    try resumed.resume(["--local-workers", "2"])
    #expect(try resumed.adapterHash() == adapter && resumed.stateDigest() == state, "\(Self.pairs.name(row))")
  }
}

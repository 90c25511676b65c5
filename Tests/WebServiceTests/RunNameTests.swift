import Foundation
import Harness
import JSON
import Testing

/// Names and tags of runs, and checkpoints as one file.
@Suite struct RunNameTests {
  private static func post(
    _ service: RunningService, _ path: String, _ body: JSONValue
  ) throws -> HTTPAnswer { try service.answer("POST", "/nested-learning/experiments/" + path, body) }

  /// A run that was stopped goes on under its new name, to the same bits; its job follows it.
  @Test func aNewName() throws {
    let service = try RunningService(delay: 0.03)
    let changes: [String: JSONValue] = ["num_steps": 240, "eval_every": 120]
    guard case .object(var keys) = RunningService.config("", changes) else { throw HarnessError("no config") }
    for key in ["base_model_path", "train_data_path", "val_data_path", "experiment_name"] { keys[key] = nil }
    let job = try service.v1(
      "POST", "fine_tuning/jobs",
      [
        "model": "qwen2_f32", "training_file": "train.jsonl", "validation_file": "valid.jsonl",
        "suffix": "old",
        "nested_learning": .object(keys),
      ])
    try service.wait("step 5") { try service.step("old") >= 5 }
    try service.json("POST", "stop", ["experiment_name": "old"])
    try service.waitForEnd(of: "old", as: "stopped")
    #expect(try Self.post(service, "old/rename", ["experiment_name": "new name"]).status == "200")
    #expect(try service.answer("GET", "/nested-learning/experiments/old").status == "404")
    let details = try service.json("GET", "experiments/new%20name")
    #expect(details["experiment_name"] == "new name" && details["config"]?["experiment_name"] == "new name")
    let id = job["id"]?.string ?? ""
    #expect(
      try service.v1("GET", "fine_tuning/jobs/\(id)")["nested_learning"]?["experiment_name"] == "new name")
    try service.json("POST", "resume", ["experiment_name": "new name"])
    try service.killAndStart()
    try service.wait("its end") { try service.status("new%20name")["status"] == "completed" }
    let alone = try TrainingRun(changes)
    try alone.train()
    #expect(try service.adapterHash("new name") == alone.adapterHash())
    #expect(!FileManager.default.fileExists(atPath: service.runs + "/old"))
    #expect(
      try service.v1("GET", "fine_tuning/jobs/\(id)")["fine_tuned_model"] == "new name/checkpoints/final")
  }

  @Test func tagsAndWhatIsRefused() throws {
    let service = try RunningService()
    for name in ["a", "b"] {
      try service.json("POST", "start", RunningService.config(name))
      try service.waitForEnd(of: name)
    }
    // Asked for before, so that an answer that is kept would show.
    #expect(try service.json("GET", "experiments/a")["tags"] == [])
    _ = try service.json("GET", "experiments")
    try service.json("POST", "experiments/a/tags", ["tags": ["good", "größer", "good"]])
    let listed = try service.json("GET", "experiments")["experiments"]?.array ?? []
    let tags = listed.first { $0["experiment_name"] == "a" }?["tags"]
    #expect(tags == ["good", "größer"])
    try service.json("POST", "experiments/a/rename", ["experiment_name": "c"])
    try service.killAndStart()
    #expect(try service.json("GET", "experiments/c")["tags"] == ["good", "größer"])
    let wrong: [JSONValue] = [
      [:], ["tags": "a"], ["tags": [1]], ["tags": [""]], ["tags": ["a,b"]], ["tags": ["a\nb"]],
      ["tags": [.string(String(repeating: "x", count: 51))]], ["tags": .strings((0..<21).map(String.init))],
    ]
    for body in wrong { #expect(try Self.post(service, "c/tags", body).status == "422", "\(body.text)") }
    for name: JSONValue in [nil, "", "../x", "a/b", ".hidden", 1] {
      #expect(try Self.post(service, "c/rename", ["experiment_name": name]).status == "422", "\(name.text)")
    }
    #expect(try Self.post(service, "c/rename", ["experiment_name": "b"]).status == "409")
    for path in ["none/rename", "none/tags", "..%2Fdata/tags"] {
      let body: JSONValue = ["experiment_name": "x", "tags": []]
      #expect(try Self.post(service, path, body).status == "404", "\(path)")
    }
    // What a run of the queue reads stays where it is.
    try service.json(
      "POST", "start",
      RunningService.config("d", ["num_steps": 100_000, "adapter_path": "c/checkpoints/final"]))
    #expect(try Self.post(service, "c/rename", ["experiment_name": "e"]).status == "409")
    try service.wait("its folder") {
      FileManager.default.fileExists(atPath: service.runs + "/d/state.sqlite")
    }
    #expect(try Self.post(service, "d/rename", ["experiment_name": "e"]).status == "409", "it is at work")
    #expect(try Self.post(service, "b/rename", ["experiment_name": "d"]).status == "409")
  }

  /// The tar of Debian unpacks it to the same files.
  @Test func aCheckpointAsOneFile() throws {
    let service = try RunningService()
    try service.json("POST", "start", RunningService.config("a"))
    try service.waitForEnd(of: "a")
    let url = "http://127.0.0.1:\(service.port)/nested-learning/experiments/a/checkpoints/final"
    let script = """
      set -e; cd "$1"; mkdir whole peft
      curl -sf "$2" | tar -x -C whole; curl -sf "$2?form=peft" | tar -x -C peft
      diff -r whole/final "$3/a/checkpoints/final"; diff -r peft/final "$3/a/checkpoints/final/peft"
      """
    try Program(name: "/bin/bash").run(["-c", script, "-", service.scratch.path("."), url, service.runs])
      .expectSuccess()
    let path = "/nested-learning/experiments/a/checkpoints/"
    for (other, status) in [
      ("none", "404"), ("..%2F..%2Fstate", "404"), ("final?form=zip", "422"), (".", "404"), ("..", "404"),
    ] {
      #expect(try service.answer("GET", path + other).status == status, "\(other)")
    }
  }
}

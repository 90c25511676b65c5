import Foundation
import Harness
import JSON
import Testing

/// `/v1/fine_tuning/jobs` and `/v1/models`: a view of runs.
@Suite struct FineTuningTests {
  /// Rows of a text each, so that as many are trained on as there are lines.
  private static func rows(_ count: Int) -> String {
    (0..<count).map { "{\"text\": \"The river froze early in year \($0).\"}\n" }.joined()
  }

  private static let small: [String: JSONValue] = ["lora_rank": 4, "max_seq_length": 32, "warmup_steps": 2]

  /// ⌈3·7/2⌉ = 11 steps of two micro-batches of a row, at twice the rate: the bits of a run that is started with these.
  @Test func itsFieldsAreThoseOfARun() throws {
    let service = try RunningService()
    let file = try service.upload("train.jsonl", Self.rows(7))
    let hyperparameters: JSONValue = ["n_epochs": 3, "batch_size": 2, "learning_rate_multiplier": 2]
    let job = try service.v1(
      "POST", "fine_tuning/jobs",
      [
        "model": "qwen2_f32", "training_file": .string(file), "validation_file": "valid.jsonl",
        "suffix": "mine", "seed": 7, "metadata": ["a": "b"],
        "method": ["type": "supervised", "supervised": ["hyperparameters": hyperparameters]],
        "nested_learning": .object(Self.config(["learning_rate": 0.005, "eval_every": 5])),
      ])
    let id = try #require(job["id"]?.string)
    #expect(
      job["object"] == "fine_tuning.job" && job["fine_tuned_model"] == .null && job["metadata"]?["a"] == "b")
    try service.wait("its end") {
      try ["succeeded", "failed"].contains(service.v1("GET", "fine_tuning/jobs/\(id)")["status"]?.string)
    }
    try service.json(
      "POST", "start",
      .object(
        Self.config([
          "experiment_name": "by hand", "base_model_path": "qwen2_f32", "eval_every": 5,
          "train_data_path": .string("\(file)/train.jsonl"), "val_data_path": "valid.jsonl", "seed": 7,
          "batch_size": 1, "gradient_accumulation_steps": 2, "num_steps": 11, "learning_rate": 0.01,
        ])))
    try service.wait("its end") {
      try service.answer("GET", "/nested-learning/status?experiment=by%20hand").body.contains(#""completed""#)
    }
    #expect(try service.adapterHash("mine") == service.adapterHash("by hand"))
    try checkEnd(service, id, file)
    // The same after a restart.
    let before = try service.v1("GET", "fine_tuning/jobs/\(id)")
    try service.killAndStart()
    #expect(try service.v1("GET", "fine_tuning/jobs/\(id)") == before)
    try checkList(service, id)
  }

  private static func config(_ changes: [String: JSONValue]) -> JSONObject {
    var config = JSONObject()
    for (key, value) in small.merging(changes, uniquingKeysWith: { $1 }) { config[key] = value }
    return config
  }

  private func checkEnd(_ service: RunningService, _ id: String, _ file: String) throws {
    let ended = try service.v1("GET", "fine_tuning/jobs/\(id)")
    #expect(ended["fine_tuned_model"] == "mine/checkpoints/final" && ended["training_file"] == .string(file))
    #expect(ended["nested_learning"]?["current_step"] == 11 && (ended["trained_tokens"]?.int ?? 0) > 100)
    #expect(
      ended["hyperparameters"]?["n_epochs"] == 3 && ended["error"] == .null
        && ended["finished_at"]?.int != nil)
    let events = try pages(service, "fine_tuning/jobs/\(id)/events", limit: 4)
    #expect(events.first?["message"] == "The job has successfully completed")
    #expect(events.last?["message"] == .string("Created fine-tuning job: \(id)"))
    let losses = events.filter { $0["data"]?["train_loss"]?.double != nil }
    #expect(losses.compactMap { $0["data"]?["step"]?.int } == Array((1...11).reversed()))
    let evaluations = events.compactMap {
      $0["data"]?["valid_loss"]?.double == nil ? nil : $0["data"]?["step"]?.int
    }
    #expect(evaluations.contains(5) && evaluations.contains(10))
    #expect(Set(events.compactMap { $0["id"]?.string }).count == events.count)
    let checkpoints = try pages(service, "fine_tuning/jobs/\(id)/checkpoints", limit: 1)
    let models = checkpoints.compactMap { $0["fine_tuned_model_checkpoint"]?.string }
    #expect(models.contains("mine/checkpoints/final") && models.contains("mine/checkpoints/best"))
    for model in models {
      #expect(try service.v1("GET", "models/\(model)")["id"] == .string(model))
      #expect(try service.v1("GET", "models/\(model.replacing("/", with: "%2F"))")["id"] == .string(model))
    }
    let listed = try service.v1("GET", "models")["data"]?.array?.compactMap { $0["id"]?.string } ?? []
    #expect(listed.contains("qwen2_f32") && Set(models).isSubset(of: listed))
  }

  /// All of a list, page by page.
  private func pages(_ service: RunningService, _ path: String, limit: Int) throws -> [JSONValue] {
    var items: [JSONValue] = []
    var after = ""
    for _ in 0..<100 {
      let page = try service.v1("GET", "\(path)?limit=\(limit)\(after)")
      items += page["data"]?.array ?? []
      guard page["has_more"] == true else { return items }
      after = "&after=\(page["last_id"]?.string ?? "")"
    }
    throw HarnessError("\(path) does not end")
  }

  /// A run that was begun by other means is a job too.
  private func checkList(_ service: RunningService, _ id: String) throws {
    let jobs = try pages(service, "fine_tuning/jobs", limit: 1)
    #expect(Set(jobs.compactMap { $0["id"]?.string }) == [id, "ftjob-run-by~20hand"])
    let other = try service.v1("GET", "fine_tuning/jobs/ftjob-run-by~20hand")
    #expect(other["status"] == "succeeded" && other["model"] == "qwen2_f32" && other["seed"] == 7)
    // A job outlives its run.
    #expect(try service.answer("DELETE", "/nested-learning/experiments/mine").status == "200")
    let job = try service.v1("GET", "fine_tuning/jobs/\(id)")
    #expect(job["status"] == "succeeded" && job["fine_tuned_model"] == .null)
    #expect(try service.v1("GET", "fine_tuning/jobs/\(id)/checkpoints")["data"] == [])
  }

  @Test func pauseResumeAndCancel() throws {
    let service = try RunningService(delay: 0.03)
    let request: JSONValue = [
      "model": "qwen2_f32", "training_file": "train.jsonl", "suffix": "same",
      "nested_learning": .object(Self.config(["num_steps": 100_000])),
    ]
    let first = try service.v1("POST", "fine_tuning/jobs", request)["id"]?.string ?? ""
    let second = try service.v1("POST", "fine_tuning/jobs", request)["id"]?.string ?? ""
    #expect(
      try service.v1("GET", "fine_tuning/jobs/\(second)")["nested_learning"]?["experiment_name"] == "same-2")
    func status(_ id: String) throws -> String? {
      try service.v1("GET", "fine_tuning/jobs/\(id)")["status"]?.string
    }
    try service.wait("a step") { try service.step("same") > 2 && status(first) == "running" }
    #expect(try status(second) == "queued")
    // One that waits is cancelled: it stays so, though nothing of it is in the folder of runs.
    #expect(try service.v1("POST", "fine_tuning/jobs/\(second)/cancel")["status"] == "cancelled")
    try service.v1("POST", "fine_tuning/jobs/\(first)/pause")
    try service.wait("its rest") { try status(first) == "paused" }
    try service.killAndStart()
    #expect(try status(first) == "paused" && status(second) == "cancelled")
    #expect(try service.answer("POST", "/v1/fine_tuning/jobs/\(second)/resume").status == "400")
    try service.v1("POST", "fine_tuning/jobs/\(first)/resume")
    try service.wait("more") { try status(first) == "running" }
    #expect(try service.v1("POST", "fine_tuning/jobs/\(first)/cancel")["status"] == "cancelled")
    try service.wait("its end") { try service.json("GET", "experiments")["queue"] == [] }
    #expect(try status(first) == "cancelled")
    let events = try service.v1("GET", "fine_tuning/jobs/\(first)/events?limit=1")["data"]?.array
    #expect(events?.first?["message"] == "The job was cancelled")
  }

  /// Without a file for validation a tenth of the rows is kept for it: ⌈2·(21 − 2)/2⌉ steps of two micro-batches of a row.
  @Test func epochsOfWhatIsTrainedOn() throws {
    let service = try RunningService(delay: 0.03)
    let file = try service.upload("train.jsonl", Self.rows(21))
    let job = try service.v1(
      "POST", "fine_tuning/jobs",
      [
        "model": "qwen2_f32", "training_file": .string(file), "hyperparameters": ["n_epochs": 2],
        "nested_learning": .object(Self.config([:])),
      ])
    let path = "fine_tuning/jobs/\(job["id"]?.string ?? "")"
    try service.wait("a folder") {
      try service.v1("GET", path)["nested_learning"]?["total_steps"]?.int != nil
    }
    #expect(try service.v1("GET", path)["nested_learning"]?["total_steps"] == 19)
  }

  private static let wrong: [(changes: String, param: String, status: String)] = [
    (#"{"model": null}"#, "model", "400"), (#"{"model": "none"}"#, "model", "404"),
    (#"{"model": "../data"}"#, "model", "404"), (#"{"model": 1}"#, "model", "400"),
    (#"{"training_file": null}"#, "training_file", "400"),
    (#"{"training_file": "file-000000000000000000000000"}"#, "training_file", "400"),
    (#"{"training_file": "/etc/passwd"}"#, "training_file", "400"),
    (#"{"validation_file": "none.jsonl"}"#, "validation_file", "400"),
    (#"{"suffix": "a/b"}"#, "experiment_name", "400"), (#"{"suffix": []}"#, "suffix", "400"),
    (#"{"seed": -1}"#, "seed", "400"), (#"{"metadata": 1}"#, "metadata", "400"),
    (#"{"integrations": [{"type": "wandb"}]}"#, "integrations", "400"), (#"{"other": 1}"#, "other", "400"),
    (#"{"method": {"type": "dpo"}}"#, "method.type", "400"),
    (#"{"method": {"type": "supervised", "more": 1}}"#, "method.more", "400"),
    (#"{"hyperparameters": {"n_epochs": 0}}"#, "hyperparameters.n_epochs", "400"),
    (#"{"hyperparameters": {"n_epoch": 1}}"#, "hyperparameters.n_epoch", "400"),
    (
      #"{"method": {"supervised": {"hyperparameters": {"batch_size": "many"}}}}"#,
      "method.supervised.hyperparameters.batch_size", "400"
    ),
    (
      #"{"hyperparameters": {"batch_size": 2}, "nested_learning": {"batch_size": 2}}"#,
      "nested_learning.batch_size", "400"
    ),
    (#"{"nested_learning": {"lora_rnk": 4}}"#, "lora_rnk", "400"),
    (#"{"nested_learning": {"num_steps": "many"}}"#, "num_steps", "400"),
    (#"{"nested_learning": {"base_model_path": "x"}}"#, "nested_learning.base_model_path", "400"),
    (#"{"nested_learning": {"output_path": "/tmp"}}"#, "output_path", "400"),
    (#"{"hyperparameters": {"n_epochs": 1}, "training_file": "broken.jsonl"}"#, "training_file", "400"),
  ]

  @Test func eachError() throws {
    let service = try RunningService()
    try service.scratch.write("data/broken.jsonl", "{\n")
    for (changes, param, status) in Self.wrong {
      var request: JSONObject = ["model": "qwen2_f32", "training_file": "train.jsonl"]
      for member in try JSONValue(parsing: changes).object?.members ?? [] {
        request[member.key] = member.value
      }
      let answer = try service.answer("POST", "/v1/fine_tuning/jobs", .object(request))
      let error = try JSONValue(parsing: answer.body)["error"]
      #expect(answer.status == status && error?["param"]?.string == param, "\(changes): \(answer.body)")
      #expect(error?["message"]?.string?.isEmpty == false && error?["type"] == "invalid_request_error")
    }
    let none = ["ftjob-none", "ftjob-run-none", "ftjob-run-~2e~2e", "ftjob-run-~zz", "..%2F.."]
    for id in none {
      for (method, path) in [
        ("GET", ""), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/events"),
        ("GET", "/checkpoints"),
      ] {
        let answer = try service.answer(method, "/v1/fine_tuning/jobs/\(id)\(path)")
        #expect(answer.status == "404", "\(method) \(id)\(path): \(answer.body)")
      }
    }
    for path in ["models/none", "models/..%2Fdata", "nothing"] {
      let answer = try service.answer("GET", "/v1/\(path)")
      #expect(answer.status == "404" && answer.body.contains(#"{"error""#), "\(path): \(answer.body)")
    }
    #expect(try service.json("GET", "experiments")["experiments"] == [])
  }

  /// A run that could not begin is a job that has failed, with its reason; a new run of that name is another job.
  @Test func aJobThatFails() throws {
    let service = try RunningService()
    try service.scratch.write("data/broken.jsonl", "{\n")
    let job = try service.v1(
      "POST", "fine_tuning/jobs",
      [
        "model": "qwen2_f32", "training_file": "broken.jsonl",
        "nested_learning": ["experiment_name": "f", "max_seq_length": 32],
      ])
    let id = job["id"]?.string ?? ""
    try service.wait("its end") { try service.v1("GET", "fine_tuning/jobs/\(id)")["status"] == "failed" }
    let error = try service.v1("GET", "fine_tuning/jobs/\(id)")["error"]
    #expect(error?["message"]?.string?.contains("broken.jsonl") == true)
    try service.json("POST", "start", RunningService.config("f"))
    try service.waitForEnd(of: "f")
    #expect(try service.v1("GET", "fine_tuning/jobs/\(id)")["status"] == "failed")
    #expect(try service.v1("GET", "fine_tuning/jobs/ftjob-run-f")["status"] == "succeeded")
  }

  /// A bearer that a client sends because it must have one is not looked at on this machine.
  @Test func anyBearerIsAccepted() throws {
    let service = try RunningService()
    #expect(
      try service.answer("GET", "/v1/models", headers: ["Authorization: Bearer sk-none"]).status == "200")
    let file = try Scratch()
    let closed = try RunningService(["--token", try file.write("token", "0123456789abcdef")])
    let answer = try closed.answer("GET", "/v1/models", headers: ["Authorization: Bearer sk-none"])
    #expect(answer.status == "401")
    let error = try JSONValue(parsing: answer.body)["error"]
    #expect(error?["type"] == "authentication_error" && error?["code"] == "invalid_api_key")
  }
}

import Foundation
import Harness
import JSON
import Testing

/// What of a run's data decides its bits, and what does not: by the real programs.
@Suite struct DataTests {
  private static let pairs = Fixtures.path("data/pairs.jsonl")
  private static let valid = Fixtures.path("data/pairs_valid.jsonl")
  private static let keys: [String: JSONValue] = [
    "train_data_path": .string(pairs), "val_data_path": .string(valid), "max_seq_length": 80,
  ]

  private func run(_ changes: [String: JSONValue] = [:]) throws -> TrainingRun {
    try TrainingRun(Self.keys.merging(changes) { $1 })
  }

  private func hash(_ changes: [String: JSONValue] = [:], workers: Int = 1) throws -> String {
    let run = try run(changes)
    try run.train(["--local-workers", "\(workers)", "--threads-per-worker", "1"])
    return try run.adapterHash()
  }

  /// Rows of tasks, and how often each label stands there; the counts are of the file itself.
  @Test func rowsOfTasks() throws {
    let (path, rows) = (
      Fixtures.path("data/tasks.jsonl"), try Harness.rows(Fixtures.path("data/tasks.jsonl"))
    )
    let flags = [
      "data", "inspect", path, "--model", Fixtures.path("models/qwen2_f32"), "--tasks",
      #"{"name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]}"#,
      #"{"name": "tag", "type": "token_classification", "labels": ["word", "name", "number"]}"#,
      #"{"name": "text", "type": "language_modeling"}"#,
    ]
    let result = try Program.tool.run(flags + ["--json"]).expectSuccess()
    let file = try JSONValue(parsing: result.output)["files"]?.array?.first
    let tasks = try #require(file?["tasks"]?.array)
    func counts(_ task: JSONValue) -> [Int?] { (task["labels"]?.array ?? []).map { $0["count"]?.int } }
    func of(_ task: String) -> [JSONValue] { rows.filter { $0["task"]?.string == task } }
    #expect(tasks.map { $0["rows"]?.int } == ["topic", "tag", "text"].map { of($0).count })
    let topics = ["sea", "mill", "town"].map { label in of("topic").count { $0["label"]?.string == label } }
    #expect(counts(tasks[0]) == topics && topics.allSatisfy { $0 > 0 })
    let tags = of("tag").flatMap { $0["label"]?.array ?? [] }.compactMap(\.int)
    let expected = (0..<3).map { (tag: Int) in tags.count { $0 == tag } }
    #expect(counts(tasks[1]) == expected)
    let predicted = tasks[2]["labelled"]?.int ?? 0
    #expect(predicted > of("text").count)
    let text = try Program.tool.run(flags).expectSuccess()
    #expect(
      text.output.contains("topic  \(topics.reduce(0, +)) rows: sea \(topics[0]), mill"), "\(text.output)")
    let wrong = try Program.tool.run(Array(flags.prefix(6)) + [#"{"name": "topic"}"#])
    #expect(wrong.status != 0 && wrong.errors.contains("type"), "\(wrong.everything)")
  }

  /// Each changes what is learnt; the number of workers does not.
  @Test func packingAndTrainOnChangeTheAdapter() throws {
    let plain = try hash()
    let packed = try hash(["packing": true])
    let all = try hash(["train_on": "all"])
    #expect(Set([plain, packed, all]).count == 3)
    #expect(try hash(["packing": true], workers: 3) == packed)
    #expect(try hash(["packing": false, "train_on": "completions"]) == plain)
  }

  /// A run in packs that is stopped and goes on takes the same packs.
  @Test func packedRunsGoOn() throws {
    let changes: [String: JSONValue] = ["packing": true, "num_steps": 60, "checkpoint_every": 5]
    let whole = try hash(changes)
    let halves = try run(changes)
    let first = try halves.start(["--local-workers", "1", "--threads-per-worker", "1"])
    #expect(waitUntil(seconds: 60) { ((try? halves.metrics().count) ?? 0) >= 6 })
    kill(first.id, SIGKILL)
    _ = try first.wait()
    try halves.resume()
    #expect(try halves.adapterHash() == whole)
  }

  /// The loss of packed rows is that of the same rows by themselves.
  @Test func packedEvaluationsAreThoseOfTheRows() throws {
    func evaluate(_ flags: [String]) throws -> JSONValue {
      let result = try Program.tool.run(
        [
          "evaluate", "--model", Fixtures.path("models/qwen2_f32"), "--data", Self.pairs, "--max-seq-length",
          "80",
          "--json",
        ] + flags
      ).expectSuccess()
      return try JSONValue(parsing: result.output)
    }
    let plain = try evaluate([])
    let packed = try evaluate(["--packing", "--batch-size", "2"])
    let all = try evaluate(["--train-on", "all"])
    #expect(plain["tokens"]?.int == packed["tokens"]?.int)
    #expect((all["tokens"]?.int ?? 0) > (plain["tokens"]?.int ?? 0))
    let (a, b) = (try #require(plain["loss"]?.double), try #require(packed["loss"]?.double))
    #expect(abs(a - b) <= 1e-6 * a, "\(a) and \(b)")
    #expect(abs((all["loss"]?.double ?? a) - a) > 1e-3)
  }

  /// A folder, the files in it by their names, and a list of one file are the same data.
  @Test func foldersAndListsAreTheirFiles() throws {
    let files = try Scratch()
    try FileManager.default.copyItem(atPath: Self.pairs, toPath: files.path("train.jsonl"))
    try FileManager.default.copyItem(atPath: Self.valid, toPath: files.path("valid.jsonl"))
    let plain = try hash()
    #expect(try hash(["train_data_path": .string(files.path("")), "val_data_path": nil]) == plain)
    #expect(try hash(["train_data_path": [["path": .string(Self.pairs)]]]) == plain)
    #expect(try hash(["train_data_path": [["path": .string(Self.pairs), "weight": 2]]]) != plain)
  }

  /// Files of a list are part of what a run was started from, with their weights; they may lie elsewhere later.
  @Test func listsAreRecognisedAgain() throws {
    let files = try Scratch()
    let old = files.path("old")
    try FileManager.default.createDirectory(atPath: old, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: Self.pairs, toPath: old + "/a.jsonl")
    try FileManager.default.copyItem(atPath: Self.valid, toPath: old + "/b.jsonl")
    let list: JSONValue = [
      ["path": .string(old + "/a.jsonl"), "weight": 1.5], ["path": .string(old + "/b.jsonl")],
    ]
    let run = try run(["train_data_path": list])
    try run.train()
    let adapter = try run.adapterHash()
    _ = try Program.coord.run(["rollback", run.folder, "--to-step", "0"]).expectSuccess()
    try FileManager.default.moveItem(atPath: old, toPath: files.path("new"))
    let refused = try Program.coord.run(["resume", run.folder])
    #expect(refused.status != 0 && refused.errors.contains(old + "/a.jsonl"), "\(refused.errors)")
    try run.resume(["--train-data-path", files.path("new")])
    #expect(try run.adapterHash() == adapter)
    try files.write("new/b.jsonl", "{\"text\": \"another\"}\n{\"text\": \"file\"}\n")
    let changed = try Program.coord.run(["resume", run.folder])
    #expect(changed.status != 0 && changed.errors.contains(files.path("new/b.jsonl")), "\(changed.errors)")
  }

  /// The report that opens a run, and the token cache that it says nothing of.
  @Test func theRunBeginsWithAReport() throws {
    let scratch = try Scratch()
    let run = try run(["num_steps": 1])
    let environment = ["NL_TOKEN_CACHE": scratch.path("cache")]
    let result = try run.train(environment: environment)
    #expect(result.output.contains("pairs.jsonl: 20 prompt/completion, 6 text; "), "\(result.output)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path("cache")).count == 2)
  }

  @Test func inspectShowsWhatIsTrainedOn() throws {
    let scratch = try Scratch()
    let rows = [
      #"{"prompt": "Who waits?", "completion": " The boat."}"#, #"{"text": "Rain\u001b[31m."}"#,
      #"{"text": ""}"#,
      #"{"prompt": "Who waits?", "completion": " The boat."}"#, #"{"x": 1}"#,
    ]
    let file = try scratch.write("rows.jsonl", rows.joined(separator: "\n") + "\n")
    let arguments = ["data", "inspect", file, "--model", Fixtures.path("models/qwen2_f32")]
    let text = try Program.tool.run(arguments).expectSuccess().output
    for part in [
      "2 prompt/completion, 2 text", "Who waits?⟦ The boat.<|endoftext|>⟧", "the same: lines 1, 4",
      "1 row of \(file) skipped: is no kind of row: it has the keys x (line 5)", "in␛[31m.<|endoftext|>⟧",
    ] { #expect(text.contains(part), "\(part): \(text)") }
    #expect(!text.contains("\u{1B}"))
    let json = try JSONValue(parsing: try Program.tool.run(arguments + ["--json"]).expectSuccess().output)
    let report = try #require(json["files"]?.array?.first)
    #expect(report["kinds"]?["text"] == 2 && report["duplicates"]?["groups"] == [[1, 4]])
    #expect(
      report["examples"]?.array?.first?["parts"]?.array?.last?["text"]?.string == " The boat.<|endoftext|>")
  }
}

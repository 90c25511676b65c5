import Foundation
import Harness
import JSON
import Kernels
import Testing

/// Promise 1: the trained adapter is a function of config, data and base model alone. The reference of each test is
/// a run by one worker with one thread.
@Suite(.serialized) struct OneAnswerTests {
  /// The instruction sets of this machine, by the names that NL_ISA takes: not every CPU has AVX-512, or AVX2.
  private static let instructionSets = Set(
    [NL_ISA_BASELINE, NL_ISA_NEON, NL_ISA_AVX2, NL_ISA_AVX512, NL_ISA_AVX512_BF16, NL_ISA_AMX]
      .filter { nl_isa_has($0) }.map { String(cString: nl_isa_name($0)) })

  @Test(arguments: ["discard", "mean"])
  func workersAndThreadsDoNotChangeABit(window: String) throws {
    let changes: [String: JSONValue] = ["inactive_gradients": .string(window)]
    let reference = try TrainingRun(changes)
    try reference.train(["--local-workers", "1", "--threads-per-worker", "1"])
    let adapter = try reference.adapterHash()
    let state = try reference.stateDigest()
    #expect(state.count == 64)
    for (workers, threads) in [(1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (5, 1), (5, 2)] {
      let run = try TrainingRun(changes)
      try run.train(["--local-workers", "\(workers)", "--threads-per-worker", "\(threads)"])
      #expect(try run.adapterHash() == adapter, "\(workers) workers with \(threads) threads")
      #expect(try run.stateDigest() == state, "\(workers) workers with \(threads) threads")
    }
  }

  @Test func cuttingAlongTiersDoesNotChangeABit() throws {
    let reference = try TrainingRun()
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun()
    try run.train(["--local-workers", "2", "--threads-per-worker", "1", "--shard-by", "tier"])
    #expect(try run.adapterHash() == reference.adapterHash())
  }

  @Test(arguments: ["avx512", "avx2", "neon", "baseline"].filter(instructionSets.contains))
  func instructionSetsDoNotChangeABit(isa: String) throws {
    let reference = try TrainingRun(["num_steps": 4])
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(["num_steps": 4])
    try run.train(["--threads-per-worker", "1"], environment: ["NL_ISA": isa])
    #expect(try run.adapterHash() == reference.adapterHash())
  }

  /// In each other arithmetic, too: neither workers, threads nor instruction sets; nor is it the answer of f32.
  @Test(arguments: [("bf16_dot", "bf16/1"), ("bf16_tiles", "amx/1"), ("f32_tiles", "f32_tiles/1")])
  func everyArithmeticHasOneAnswer(arithmetic: String, profile: String) throws {
    let changes: [String: JSONValue] = [
      "arithmetic": .string(arithmetic), "num_steps": 6, "inactive_gradients": "mean",
    ]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    for (workers, threads, isa) in [(2, 2, nil), (1, 1, "avx512"), (3, 1, "avx2"), (1, 2, "baseline")]
    where isa.map(Self.instructionSets.contains) ?? true {
      let run = try TrainingRun(changes)
      try run.train(
        ["--local-workers", "\(workers)", "--threads-per-worker", "\(threads)"],
        environment: isa.map { ["NL_ISA": $0] } ?? [:])
      #expect(try run.adapterHash() == reference.adapterHash(), "\(workers) workers, \(isa ?? "any")")
      #expect(try run.stateDigest() == reference.stateDigest(), "\(workers) workers, \(isa ?? "any")")
    }
    let plain = try TrainingRun(changes.merging(["arithmetic": "f32"]) { $1 })
    try plain.train()
    #expect(try plain.adapterHash() != reference.adapterHash())
    let recorded = try sqlite(reference.file("state.sqlite"), "SELECT DISTINCT numeric_profile FROM workers")
    #expect(recorded == profile)
  }

  /// The same of a model that is longer than two blocks of k, keys and rows of any sum. Without the instruction set whose
  /// fused multiply-adds are emulated, which would take a minute.
  @Test(arguments: ["f32", "bf16_dot", "bf16_tiles", "f32_tiles"])
  func secondBlocksHaveOneAnswer(arithmetic: String) throws {
    let scratch = try Scratch()
    try Program.tool.run([
      "model", "init", "--config", Fixtures.path("blocks/config.json"), "--output", scratch.path("model"),
      "--tokenizer", Fixtures.path("models/qwen2_f32"), "--dtype", "bf16",
    ]).expectSuccess()
    let words = (0..<300).map { "\($0 * $0 % 97)" }.joined(separator: " ")
    try scratch.write("rows.jsonl", JSONValue.object(["text": .string(words)]).text + "\n")
    let changes: [String: JSONValue] = [
      "arithmetic": .string(arithmetic), "base_model_path": .string(scratch.path("model")),
      "train_data_path": .string(scratch.path("rows.jsonl")),
      "val_data_path": .string(scratch.path("rows.jsonl")),
      "num_tiers": 1, "tier_update_frequencies": [1], "num_steps": 2, "batch_size": 1,
      "gradient_accumulation_steps": 1, "max_seq_length": 200,
      "eval_every": 2,
    ]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    for (threads, isa) in [(3, "avx512"), (2, "avx2")] where Self.instructionSets.contains(isa) {
      let run = try TrainingRun(changes)
      try run.train(["--threads-per-worker", "\(threads)"], environment: ["NL_ISA": isa])
      #expect(try run.stateDigest() == reference.stateDigest(), "\(isa), \(threads) threads")
    }
  }

  /// `auto` and `mixed_precision: true` are resolved when the run begins, recorded so, and resumed so.
  @Test func openArithmeticIsResolvedAndRecorded() throws {
    for (key, value) in [("arithmetic", "auto" as JSONValue), ("mixed_precision", true)] {
      let run = try TrainingRun([key: value, "num_steps": 4])
      try run.train(["--threads-per-worker", "1"])
      let text = try String(contentsOfFile: run.file("config.json"), encoding: .utf8)
      let recorded = try #require(try JSONValue(parsing: text)["arithmetic"]?.string)
      #expect(key == "arithmetic" ? ["f32", "f32_tiles"].contains(recorded) : recorded.hasPrefix("bf16_"))
      let other = try TrainingRun(["arithmetic": .string(recorded), "num_steps": 4])
      let isa = Self.instructionSets.contains("avx2") ? "avx2" : "baseline"
      try other.train(["--threads-per-worker", "1"], environment: ["NL_ISA": isa])
      #expect(try run.stateDigest() == other.stateDigest())
    }
  }

  /// What workers compute twice instead of keeping it is the same, dropout included.
  @Test func recomputedActivationsDoNotChangeABit() throws {
    let changes: [String: JSONValue] = ["lora_dropout": 0.2, "num_steps": 6]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes.merging(["activation_checkpointing": "layer"]) { $1 })
    try run.train(["--local-workers", "2", "--threads-per-worker", "2"])
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
  }

  /// Steps at which no tier is due and whose loss is not asked for are passed over: no hand-outs, no loss, and nothing
  /// else is different.
  @Test func stepsWithoutAnyUse() throws {
    let changes: [String: JSONValue] = ["tier_update_frequencies": [4, 8, 8], "num_steps": 18]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes.merging(["loss_every": 6]) { $1 })
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    func ask(_ question: String) throws -> String {
      try sqlite(run.file("state.sqlite"), question).replacingOccurrences(of: "\n", with: " ")
    }
    let computed = "4 6 8 12 16 18"
    #expect(try ask("SELECT step FROM steps WHERE loss IS NOT NULL") == computed)
    #expect(
      try ask("SELECT DISTINCT step FROM assignments WHERE purpose = 'train' ORDER BY step") == computed)
    #expect(try ask("SELECT count(*) FROM steps") == "18")
    #expect(
      try sqlite(reference.file("state.sqlite"), "SELECT count(loss) FROM steps") == "18",
      "by default every step has a loss")
    let rows = try run.metrics()
    #expect(rows.count == 18 && rows[0]["loss"] == .null && rows[3]["loss"]?.double != nil)
  }

  /// Dropout is keyed by (row, position, channel), not by who computes.
  @Test func dropoutDoesNotDependOnWorkers() throws {
    let changes: [String: JSONValue] = ["lora_dropout": 0.2]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    try run.train(["--local-workers", "3", "--threads-per-worker", "1"])
    #expect(try run.adapterHash() == reference.adapterHash())
    let without = try TrainingRun()
    try without.train()
    #expect(try without.adapterHash() != reference.adapterHash())
  }

  @Test func aWorkerThatComesLateOverTCPDoesNotChangeABit() throws {
    let changes: [String: JSONValue] = ["num_steps": 400, "eval_every": 400]
    let reference = try TrainingRun(changes)
    try reference.train()
    let run = try TrainingRun(changes)
    let port = freePort()
    let coordinator = try run.start([
      "--local-workers", "1", "--threads-per-worker", "1", "--listen", "tcp://127.0.0.1:\(port)",
    ])
    let metrics = run.file("metrics/train_metrics.jsonl")
    #expect(waitUntil(seconds: 30) { ((try? rows(metrics).count) ?? 0) >= 3 })
    let worker = try Program.worker.start(["--connect", "tcp://127.0.0.1:\(port)", "--threads", "1"])
    #expect(try coordinator.wait().status == 0, "\(coordinator.output)\(coordinator.errors)")
    #expect(try worker.wait(seconds: 20).status == 0, "\(worker.output)\(worker.errors)")
    #expect(try run.adapterHash() == reference.adapterHash())
    let computed = try sqlite(
      run.file("state.sqlite"),
      "SELECT count(DISTINCT worker) FROM assignments WHERE outcome = 'committed' AND purpose = 'train'")
    #expect(computed == "2", "the late worker has computed nothing")
  }

  @Test func aWorkerKilledInTheMiddleDoesNotChangeABit() throws {
    let changes: [String: JSONValue] = ["num_steps": 300, "eval_every": 300]
    let reference = try TrainingRun(changes)
    try reference.train()
    let run = try TrainingRun(changes)
    let coordinator = try run.start(["--local-workers", "2", "--threads-per-worker", "1"])
    let metrics = run.file("metrics/train_metrics.jsonl")
    #expect(waitUntil(seconds: 30) { ((try? rows(metrics).count) ?? 0) >= 3 })
    try killOneChild(of: coordinator.process.processIdentifier)
    #expect(try coordinator.wait().status == 0, "\(coordinator.output)\(coordinator.errors)")
    #expect(coordinator.errors.contains("started again"))
    #expect(try run.adapterHash() == reference.adapterHash())
  }

  /// Stopped in the middle of the windows of both slow tiers, more than once.
  @Test(arguments: ["discard", "mean", "sum"])
  func stopAndResumeDoNotChangeABit(window: String) throws {
    let changes: [String: JSONValue] = [
      "inactive_gradients": .string(window), "num_steps": 300, "eval_every": 100,
      "tier_update_frequencies": [1, 3, 7],
    ]
    let reference = try TrainingRun(changes)
    try reference.train()
    let run = try TrainingRun(changes)
    let metrics = run.file("metrics/train_metrics.jsonl")
    var running = try run.start()
    for stop in [40, 120] {
      #expect(waitUntil(seconds: 30) { ((try? rows(metrics).count) ?? 0) >= stop })
      running.interrupt()
      let result = try running.wait(seconds: 30)
      #expect(result.status == 0, "\(result.everything)")
      let done = try run.metrics().count
      #expect(done < 300, "the run ended before it could be stopped")
      let name = "checkpoint_" + String(repeating: "0", count: 7 - "\(done)".count) + "\(done)"
      #expect(FileManager.default.fileExists(atPath: run.file("checkpoints/\(name)/adapters.safetensors")))
      running = try Program.coord.start(["resume", run.folder])
    }
    #expect(try running.wait().status == 0, "\(running.output)\(running.errors)")
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    #expect(try run.metrics().map { $0["step"]?.int } == Array(1...300))
    let evaluations = try rows(run.file("metrics/eval_metrics.jsonl"))
    #expect(try evaluations == rows(reference.file("metrics/eval_metrics.jsonl")))
  }

  @Test func aKilledCoordinatorIsResumedToTheSameBits() throws {
    let changes: [String: JSONValue] = [
      "inactive_gradients": "sum", "num_steps": 200, "checkpoint_every": 30,
    ]
    let reference = try TrainingRun(changes)
    try reference.train()
    let run = try TrainingRun(changes)
    let running = try run.start(["--local-workers", "2", "--threads-per-worker", "1"])
    #expect(
      waitUntil(seconds: 30) { ((try? rows(run.file("metrics/train_metrics.jsonl")).count) ?? 0) >= 70 })
    let children = children(of: running.process.processIdentifier)
    #expect(children.count == 2)
    running.terminate()
    _ = try running.wait()
    #expect(
      waitUntil(seconds: 5) { children.allSatisfy { kill($0, 0) != 0 } }, "workers outlived the coordinator")
    let address = try String(contentsOfFile: run.file("coordinator"), encoding: .utf8)
    let socket = String(address.prefix { $0 != "\n" }.dropFirst("ipc://".count))
    #expect(FileManager.default.fileExists(atPath: socket))
    try run.resume()
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    #expect(try run.metrics().map { $0["step"]?.int } == Array(1...200))
    let left = URL(fileURLWithPath: socket).deletingLastPathComponent().path
    #expect(!FileManager.default.fileExists(atPath: left), "the killed coordinator's socket is still there")
  }
}

func killOneChild(of parent: Int32) throws {
  let child = try #require(children(of: parent).first)
  kill(child, SIGKILL)
}

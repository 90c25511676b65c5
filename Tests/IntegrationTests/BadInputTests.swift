import Foundation
import Harness
import JSON
import Testing

/// Each bad input gives a message that says where and what, an exit code that is not 0, and no run folder.
@Suite(.serialized) struct BadInputTests {
  /// Trains, expects a refusal whose message holds all of `words`, and nothing left behind.
  ///
  /// - Parameter status: the exit code; nil for any but 0
  func expectRefusal(
    _ run: TrainingRun, flags: [String] = [], _ words: [String], status: Int32? = nil, line: Int = #line
  ) throws {
    let result = try run.start(flags).wait(seconds: 60)
    let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1)
    #expect(status.map { result.status == $0 } ?? (result.status != 0), sourceLocation: place)
    for word in words {
      #expect(result.errors.contains(word), "\(word) is not in: \(result.errors)", sourceLocation: place)
    }
    let left = (try? FileManager.default.contentsOfDirectory(atPath: run.scratch.path("runs"))) ?? []
    #expect(left.isEmpty, "left behind: \(left)", sourceLocation: place)
  }

  // MARK: Config

  @Test func unknownKey() throws {
    let run = try TrainingRun(["learning_rat": 0.1])
    // EX_CONFIG of sysexits.h: systemd is told not to try again.
    try expectRefusal(run, ["config.json:1: learning_rat:", "learning_rate"], status: 78)
  }

  /// EX_USAGE of sysexits.h.
  @Test func addressesThatAreNone() throws {
    let flags = ["--listen", "0.0.0.0:5555"]
    try expectRefusal(
      try TrainingRun(), flags: flags, ["--listen 0.0.0.0:5555 is not of the form tcp://ADDR:PORT"],
      status: 64)
    let worker = try Program.worker.run(["--connect", "10.0.0.1:5555"])
    #expect(worker.status == 64)
    #expect(worker.errors.contains("--connect must be tcp://HOST:PORT"), "\(worker.errors)")
  }

  @Test func descendingFrequencies() throws {
    try expectRefusal(
      try TrainingRun(["tier_update_frequencies": [4, 2, 1]]), ["tier_update_frequencies", "descend"])
  }

  @Test func moreTiersThanLayers() throws {
    let run = try TrainingRun(["num_tiers": 5, "tier_update_frequencies": [1, 2, 4, 8, 16]])
    try expectRefusal(run, ["num_tiers", "5", "4"])
  }

  @Test func aTierWithoutParameters() throws {
    let run = try TrainingRun([
      "num_tiers": 2, "tier_update_frequencies": [1, 2], "tier_assignment_strategy": "manual",
      "manual_tier_map": [["pattern": "*", "tier": 0]],
    ])
    try expectRefusal(run, ["tier 1", "no parameters"])
  }

  // MARK: Data

  @Test(arguments: [
    ("{\"text\": \"one two\"}\n{\"text\": \"one\n", ["data.jsonl:2:"]),
    ("{\"text\": \"one two\"}\n\n{\"txt\": \"one\"}\n", ["data.jsonl:3: is no kind of row", "txt"]),
    ("", ["data.jsonl", "no rows"]), ("{\"text\": 5}\n", ["data.jsonl:1: text:"]),
    ("{\"text\": \"\"}\n", ["data.jsonl:1: text:", "skip_unusable_rows"]),
  ]) func brokenData(text: String, words: [String]) throws {
    var run = try TrainingRun()
    run = try TrainingRun(["train_data_path": .string(try run.scratch.write("data.jsonl", text))])
    try Data(text.utf8).write(to: URL(fileURLWithPath: run.scratch.path("data.jsonl")))
    let config = try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: run.configPath)))
    var object = try #require(config.object)
    object["train_data_path"] = "data.jsonl"
    try run.scratch.write("config.json", JSONValue.object(object).text)
    try expectRefusal(run, words)
  }

  /// A random model gives no token of this row 40 %: found once the losses at the start are measured.
  @Test func nothingIsLeftToTrainOn() throws {
    let scratch = try Scratch()
    let data = try scratch.write("data.jsonl", #"{"text": "ab cd"}"# + "\n")
    let run = try TrainingRun(["train_data_path": .string(data), "loss": "stm"])
    try expectRefusal(run, ["data.jsonl", "loss", "stm leaves nothing", "another loss"])
  }

  // MARK: Model

  /// A copy of a tiny model with one of its files changed.
  func modelCopy(_ name: String = "qwen2_f32", change: (inout Data) throws -> Void) throws -> TrainingRun {
    let run = try TrainingRun()
    let copy = run.scratch.path("model")
    try FileManager.default.copyItem(atPath: Fixtures.path("models/\(name)"), toPath: copy)
    let weights = URL(fileURLWithPath: copy + "/model.safetensors")
    var data = try Data(contentsOf: weights)
    try change(&data)
    try data.write(to: weights)
    var config = run.config
    config["base_model_path"] = "model"
    try run.scratch.write("config.json", JSONValue.object(config).text)
    return run
  }

  /// The header of a safetensors file put through `edit`, the data as they are.
  func editHeader(_ data: inout Data, _ edit: (inout JSONObject) throws -> Void) throws {
    let length = Int(
      data.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) })
    var header = try #require(try JSONValue(parsing: data[8..<(8 + length)]).object)
    try edit(&header)
    var bytes = JSONValue.object(header).bytes()
    bytes += Array(repeating: 0x20, count: (8 - bytes.count % 8) % 8)
    let count = withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { Data($0) }
    data = count + Data(bytes) + data[(8 + length)...]
  }

  let tensor = "model.layers.0.self_attn.q_proj.weight"

  @Test func truncatedWeights() throws {
    let run = try modelCopy { $0.removeLast(100) }
    try expectRefusal(run, ["model.safetensors"])
  }

  @Test func overlappingTensors() throws {
    let run = try modelCopy { data in
      try editHeader(&data) { header in
        header["second"] = header[tensor]
      }
    }
    try expectRefusal(run, ["model.safetensors", "overlap"])
  }

  @Test func missingTensor() throws {
    let run = try modelCopy { data in
      try editHeader(&data) { header in
        let entry = header[tensor]
        header[tensor] = nil
        header["renamed"] = entry
      }
    }
    try expectRefusal(run, [tensor])
  }

  @Test func wrongShape() throws {
    let run = try modelCopy { data in
      try editHeader(&data) { header in
        guard var entry = header[tensor]?.object else { return }
        entry["shape"] = [16, 64]
        header[tensor] = .object(entry)
      }
    }
    try expectRefusal(run, [tensor, "16", "64"])
  }

  @Test func weightsThatAreNotNumbers() throws {
    let run = try modelCopy { data in
      data.replaceSubrange((data.count - 4)..., with: [0, 0, 0xC0, 0x7F])
    }
    try expectRefusal(run, ["model.safetensors", "NaN"])
  }

  /// The coordinator's model is `qwen2_f32`; a worker that has another one, or none, is told so and ends.
  @Test(arguments: [
    ("models/llama", "is not the coordinator's base model"), ("nowhere", "is not on this machine"),
  ])
  func aWorkerWithoutTheModel(folder: String, reason: String) throws {
    let run = try TrainingRun(["num_steps": 5000, "eval_every": 5000])
    let port = freePort()
    let coordinator = try run.start(["--local-workers", "1", "--listen", "tcp://127.0.0.1:\(port)"])
    defer { coordinator.terminate() }
    #expect(waitUntil(seconds: 30) { ((try? rows(run.file("metrics/train_metrics.jsonl")).count) ?? 0) >= 1 })
    let result = try Program.worker.run(
      ["--connect", "tcp://127.0.0.1:\(port)", "--model", Fixtures.path(folder)], seconds: 30)
    #expect(result.status != 0)
    #expect(result.errors.contains(reason) && result.errors.contains("--model"), "\(result.errors)")
  }

  @Test func unsupportedModelType() throws {
    let run = try modelCopy { _ in }
    let path = run.scratch.path("model/config.json")
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try text.replacingOccurrences(of: "\"qwen2\"", with: "\"gpt_neox\"").write(
      toFile: path, atomically: true, encoding: .utf8)
    try expectRefusal(run, ["config.json", "gpt_neox"])
  }

  // MARK: Machine

  @Test func aTakenPort() throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    // Port 0: the system gives one that is free.
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0
      }
    }
    try #require(bound)
    let port = in_port_t(bigEndian: address.sin_port)
    let run = try TrainingRun()
    try expectRefusal(run, flags: ["--listen", "tcp://127.0.0.1:\(port)"], ["\(port)", "already uses"])
  }

  @Test func listeningBeyondThisMachineWithoutKeys() throws {
    try expectRefusal(
      try TrainingRun(), flags: ["--listen", "tcp://0.0.0.0:5555"], ["--insecure", "--key", "--allow-keys"])
  }

  @Test func aRunThatIsThereAlready() throws {
    let run = try TrainingRun()
    try run.train()
    let result = try run.start().wait()
    #expect(result.status != 0)
    #expect(result.errors.contains("resume") && result.errors.contains("experiment-name"), "\(result.errors)")
  }

  /// A file system of 1 MB: the run pauses when it cannot write (here for 3 s at most), then fails, says where, and
  /// leaves no half of a checkpoint.
  @Test(.enabled(if: getuid() == 0, "mounting a small file system needs root"))
  func aFullDisk() throws {
    var run = try TrainingRun()
    let disk = run.scratch.path("disk")
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    try #require(shell("mount -t tmpfs -o size=1m none '\(disk)'") == 0)
    defer { _ = shell("umount -l '\(disk)'") }
    var config = run.config
    config["output_path"] = .string(disk)
    config["checkpoint_every"] = 2
    config["num_steps"] = 500
    config["keep_last_n_checkpoints"] = 400
    try run.scratch.write("config.json", JSONValue.object(config).text)
    let result = try run.start(environment: ["NL_FAILPOINTS": "disk.pause=3"]).wait(seconds: 60)
    #expect(result.status != 0)
    #expect(result.errors.contains(disk), "\(result.errors)")
    #expect(result.errors.contains("space"), "\(result.errors)")
    let checkpoints = try FileManager.default.contentsOfDirectory(atPath: disk + "/test/checkpoints")
    #expect(!checkpoints.isEmpty)
    for name in checkpoints {
      #expect(
        FileManager.default.fileExists(atPath: disk + "/test/checkpoints/\(name)/metadata.json"),
        "\(name) is half written")
    }
    run = try TrainingRun()
  }

  func shell(_ command: String) -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", command]
    guard (try? process.run()) != nil else { return -1 }
    process.waitUntilExit()
    return process.terminationStatus
  }

  // MARK: Training that trains nothing

  /// With B = 0 and a target that no gradient reaches nothing moves; here the loss is flat because every weight of
  /// the head is zero.
  @Test func aRunInWhichNothingChanges() throws {
    let run = try modelCopy { data in
      let length = Int(
        data.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) })
      let header = try #require(try JSONValue(parsing: data[8..<(8 + length)]).object)
      let offsets = try #require(header["lm_head.weight"]?["data_offsets"]?.array).compactMap(\.int)
      data.replaceSubrange(
        (8 + length + offsets[0])..<(8 + length + offsets[1]), with: Data(count: offsets[1] - offsets[0]))
    }
    let result = try run.start().wait()
    #expect(result.status != 0)
    #expect(result.errors.contains("changed"), "\(result.errors)")
  }
}

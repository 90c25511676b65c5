import Foundation
import Harness
import JSON
import Testing

/// The programs as those see them who look after them: health, metrics, logs, and how they end.
@Suite(.serialized) struct TelemetryTests {
  static let changes: [String: JSONValue] = ["num_steps": 300, "eval_every": 100]

  /// What a run without interruption comes to.
  static let reference = Result {
    let run = try TrainingRun(Self.changes)
    try run.train()
    return (adapter: try run.adapterHash(), state: try run.stateDigest())
  }

  /// The port that a program says it answers on.
  func port(_ program: Running) throws -> Int {
    var port: Int?
    let said = waitUntil(seconds: 60) {
      port = program.errors.firstMatch(of: #/http://127\.0\.0\.1:(\d+)/metrics/#).flatMap { Int($0.1) }
      return port != nil || !program.process.isRunning
    }
    guard said, let port else { throw HarnessError("no port was named: \(program.errors)") }
    return port
  }

  /// The value of a series; nil if it is not there.
  func value(_ series: String, in text: String) -> Double? {
    text.split(separator: "\n").first { $0.hasPrefix(series + " ") }.flatMap {
      Double($0.dropFirst(series.count + 1))
    }
  }

  @Test func healthAndMetricsOfARun() throws {
    let run = try TrainingRun(["num_steps": 2000, "eval_every": 5000, "tier_update_frequencies": [1, 2, 4]])
    let coordinator = try run.start(["--local-workers", "2", "--metrics-listen", "127.0.0.1:0"])
    defer { coordinator.terminate() }
    let port = try port(coordinator)
    var text = ""
    let shown = waitUntil(seconds: 60) {
      text = (try? get(port, "/metrics").body) ?? ""
      return value("nl_steps_total", in: text) ?? 0 > 20
        && value("nl_workers{state=\"busy\"}", in: text) != nil
    }
    #expect(shown, "\(text)")
    #expect(value("nl_configured_steps", in: text) == 2000)
    #expect(value("nl_loss", in: text) ?? 0 > 0)
    let step = value("nl_step", in: text) ?? 0
    #expect(abs(step - (value("nl_steps_total", in: text) ?? 0)) <= 1)
    // 2 rows of at most 32 tokens in each of 3 micro-batches.
    let tokens = value("nl_trained_tokens_total", in: text) ?? 0
    #expect(tokens > step && tokens <= step * 2 * 3 * 31)
    // The metrics were read while a step was put down, perhaps.
    for name in ["nl_step_seconds_count", "nl_ledger_commit_seconds_count"] {
      #expect(abs((value(name, in: text) ?? 0) - step) <= 1, "\(name)")
    }
    #expect(value("nl_phase_seconds_total{phase=\"compute\"}", in: text) ?? 0 > 0)
    #expect(value("nl_attempts_total{outcome=\"committed\"}", in: text) ?? 0 >= step)
    let up = value("nl_bytes_total{direction=\"up\",kind=\"boundary\",tier=\"0\"}", in: text) ?? 0
    let slow = value("nl_bytes_total{direction=\"up\",kind=\"boundary\",tier=\"2\"}", in: text) ?? 0
    #expect(up > 0 && slow > 0 && slow < up)
    #expect(try get(port, "/healthz") == HTTPAnswer("200", "alive\n"))
    #expect(try get(port, "/readyz").status == "200")
    let healthy = try Program.tool.run(["health", "--port", "\(port)", "--ready"])
    #expect(healthy.status == 0, "\(healthy.everything)")
    kill(coordinator.id, SIGTERM)
    #expect(try coordinator.wait().status == 0)
    #expect(try Program.tool.run(["health", "--port", "\(port)"]).status != 0)
  }

  /// Models and texts may be read for minutes: a program that does so is well. Here the texts come from a pipe that
  /// nobody writes to.
  @Test func healthBeforeTheRun() throws {
    let run = try TrainingRun(["train_data_path": "pipe"])
    #expect(mkfifo(run.scratch.path("pipe"), 0o600) == 0)
    let coordinator = try run.start(["--metrics-listen", "127.0.0.1:0"])
    defer { coordinator.terminate() }
    let port = try port(coordinator)
    #expect(try get(port, "/healthz") == HTTPAnswer("200", "starting\n"))
    #expect(try get(port, "/readyz") == HTTPAnswer("503", "starting\n"))
    #expect(!FileManager.default.fileExists(atPath: run.folder))
  }

  /// A worker of its own: not ready until it has joined.
  @Test func healthOfAWorker() throws {
    let worker = try Program.worker.start(
      ["--connect", "tcp://127.0.0.1:9", "--threads", "1", "--metrics-listen", "127.0.0.1:0"])
    defer { worker.terminate() }
    let port = try port(worker)
    #expect(try get(port, "/healthz").status == "200")
    #expect(try get(port, "/readyz") == HTTPAnswer("503", "looking for a coordinator at tcp://127.0.0.1:9\n"))
    #expect(value("nl_worker_connected", in: try get(port, "/metrics").body) == 0)
    let second = try Program.worker.run(
      ["--connect", "tcp://127.0.0.1:9", "--threads", "1", "--metrics-listen", "127.0.0.1:\(port)"])
    #expect(second.status != 0)
    #expect(second.errors.contains("cannot listen on 127.0.0.1:\(port)"), "\(second.errors)")
    kill(worker.id, SIGTERM)
    #expect(try worker.wait().status == 0)
  }

  @Test func whatOthersMayNotSee() throws {
    let run = try TrainingRun()
    let open = try run.start(["--metrics-listen", "0.0.0.0:0"]).wait()
    #expect(open.status != 0)
    #expect(open.errors.contains("--metrics-token FILE"), "\(open.errors)")
    try run.scratch.write("token", "short\n")
    let short = try run.start(["--metrics-listen", "0.0.0.0:0", "--metrics-token", run.scratch.path("token")])
    #expect(try short.wait().errors.contains("at least 16 visible ASCII characters"))
    #expect(!FileManager.default.fileExists(atPath: run.folder))
  }

  /// SIGTERM in the middle, as often as there is time; each start is the same command.
  @Test func endedAndStartedAgain() throws {
    let run = try TrainingRun(Self.changes)
    var ends = 0
    while ends < 4 {
      let before = run.step
      let coordinator = try run.start(["--local-workers", "2", "--or-resume"])
      guard waitUntil(seconds: 60, { run.step > before + 20 || !coordinator.process.isRunning }) else {
        throw HarnessError("no step after \(before)")
      }
      kill(coordinator.id, SIGTERM)
      let result = try coordinator.wait().expectSuccess()
      guard result.output.contains("Stopped; go on with") else { break }
      ends += 1
    }
    #expect(ends > 0)
    try run.start(["--or-resume"]).wait().expectSuccess()
    let again = try run.start(["--or-resume"]).wait().expectSuccess()
    #expect(again.output.contains("is finished: all steps are done"), "\(again.everything)")
    let reference = try Self.reference.get()
    #expect(try run.adapterHash() == reference.adapter)
    #expect(try run.stateDigest() == reference.state)
  }

  /// With no time to finish the step in hand, what was done is written down, and the step is computed again.
  @Test func theGraceIsOver() throws {
    let run = try TrainingRun(Self.changes)
    let coordinator = try run.start(["--grace", "0"])
    #expect(waitUntil(seconds: 60) { run.step > 20 })
    kill(coordinator.id, SIGTERM)
    let result = try coordinator.wait().expectSuccess()
    #expect(result.output.contains("Stopped; go on with"), "\(result.everything)")
    let step = run.step
    let second = try run.start(
      [
        "--or-resume", "--local-workers", "0", "--listen", "tcp://127.0.0.1:0", "--metrics-listen",
        "127.0.0.1:0",
      ])
    defer { second.terminate() }
    let port = try port(second)
    var text = ""
    #expect(
      waitUntil(seconds: 60) {
        text = (try? get(port, "/metrics").body) ?? ""
        return text.contains("nl_run_info")
      })
    #expect(value("nl_step", in: text) == Double(step), "what was committed before counts")
    #expect(value("nl_loss", in: text) == nil, "nothing has been computed yet")
    // The environment of a worker, in which somebody asks after a folder.
    let status = try Program.coord.run(
      ["status", run.folder], environment: ["NL_KEY": "worker.key", "NL_SERVER_KEY": "coordinator.key.pub"]
    ).expectSuccess()
    #expect(status.output.contains("test: "), "\(status.output)")
    kill(second.id, SIGTERM)
    try second.wait().expectSuccess()
    try run.start(["--or-resume"]).wait().expectSuccess()
    let reference = try Self.reference.get()
    #expect(try run.adapterHash() == reference.adapter)
    #expect(try run.stateDigest() == reference.state)
  }

  /// Whoever stops a whole cluster may end the workers first: the coordinator does not wait for them.
  @Test func stoppedAfterItsWorkers() throws {
    let run = try TrainingRun(Self.changes)
    let coordinator = try run.start(["--local-workers", "0", "--listen", "tcp://127.0.0.1:0", "--or-resume"])
    defer { coordinator.terminate() }
    var endpoint = ""
    let listens = waitUntil(seconds: 60) {
      endpoint = coordinator.errors.firstMatch(of: #/tcp://127\.0\.0\.1:\d+/#).map { String($0.0) } ?? ""
      return !endpoint.isEmpty
    }
    #expect(listens)
    let worker = try Program.worker.start(["--connect", endpoint, "--threads", "1"])
    #expect(waitUntil(seconds: 60) { run.step > 20 })
    kill(worker.id, SIGTERM)
    #expect(try worker.wait().status == 0)
    kill(coordinator.id, SIGTERM)
    let result = try coordinator.wait(seconds: 20).expectSuccess()
    #expect(result.output.contains("Stopped; go on with"), "\(result.everything)")
    try run.start(["--or-resume"]).wait().expectSuccess()
    let reference = try Self.reference.get()
    #expect(try run.adapterHash() == reference.adapter)
    #expect(try run.stateDigest() == reference.state)
  }

  /// `timeout`, and batch systems, signal a process and then its group: that is one request.
  @Test func twoSignalsAtOnceAreOne() throws {
    let run = try TrainingRun(Self.changes)
    let coordinator = try run.start()
    #expect(waitUntil(seconds: 60) { run.step > 20 })
    kill(coordinator.id, SIGTERM)
    usleep(20_000)
    kill(coordinator.id, SIGTERM)
    let result = try coordinator.wait().expectSuccess()
    #expect(result.output.contains("Stopped; go on with"), "\(result.everything)")
  }

  /// For whatever would start the program again: the finished run is there to be seen until somebody ends it, at once
  /// and when the program is started anew.
  @Test func aFinishedRunStays() throws {
    let run = try TrainingRun()
    for start in ["the first", "the second"] {
      let coordinator = try run.start(["--or-resume", "--stay", "--metrics-listen", "127.0.0.1:0"])
      defer { coordinator.terminate() }
      let port = try port(coordinator)
      #expect(try get(port, "/healthz").status == "200", "\(start)")
      #expect(waitUntil(seconds: 60) { coordinator.errors.contains("finished: all steps are done; staying") })
      #expect(try get(port, "/readyz") == HTTPAnswer("200", "finished: all steps are done\n"), "\(start)")
      let text = try get(port, "/metrics").body
      #expect(value("nl_step", in: text) == 10, "\(start): \(text)")
      #expect(value("nl_run_state{state=\"completed\"}", in: text) == 1, "\(start)")
      #expect(value("nl_run_state{state=\"working\"}", in: text) == 0, "\(start)")
      kill(coordinator.id, SIGTERM)
      #expect(try coordinator.wait(seconds: 10).status == 0, "\(start)")
    }
  }

  @Test func aRunOfAnotherConfigDoesNotGoOn() throws {
    let run = try TrainingRun()
    try run.train()
    let other = try run.start(["--or-resume", "--learning-rate", "0.02", "--num-steps", "20"]).wait()
    #expect(other.status != 0)
    #expect(
      other.errors.contains("was begun with other values of learning_rate, num_steps"), "\(other.errors)")
  }

  /// Every line of the log is an object that says which run it is of; what a step came to is among them.
  @Test func logsForPrograms() throws {
    let run = try TrainingRun()
    let result = try run.train(["--local-workers", "2", "--log-format", "json", "--log-level", "debug"])
    let lines = try result.errors.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    let own = lines.filter { $0["label"]?.string == "nl-coord" }
    #expect(own.allSatisfy { $0["run"]?.string == "test" && $0["time"]?.string != nil && $0["level"] != nil })
    let steps = own.filter { $0["loss"] != nil && $0["active_tiers"] != nil }
    #expect(steps.map { $0["step"]?.int } == Array(1...10))
    let metrics = try run.metrics()
    #expect(steps.map { $0["loss"]?.double } == metrics.map { $0["loss"]?.double })
    let handOuts = own.filter { $0["outcome"] != nil || $0["attempt"] != nil }
    #expect(!handOuts.isEmpty)
    #expect(handOuts.allSatisfy { $0["worker"]?.int != nil && $0["step"]?.int != nil && $0["shard"] != nil })
  }

  /// A container's way to configure: the environment, under the flags and over the file.
  @Test func flagsFromTheEnvironment() throws {
    let run = try TrainingRun()
    try run.train(
      ["--seed", "5"], environment: ["NL_NUM_STEPS": "3", "NL_SEED": "7", "NL_LOCAL_WORKERS": "2"])
    let config = try JSONValue(parsing: String(contentsOfFile: run.file("config.json"), encoding: .utf8))
    #expect(config["num_steps"]?.int == 3)
    #expect(config["seed"]?.int == 5)
    #expect(try run.metrics().count == 3)
    let wrong = try run.start(environment: ["NL_INSECURE": "perhaps"]).wait()
    #expect(wrong.errors.contains("NL_INSECURE is \"perhaps\"; 1 or 0 is wanted"), "\(wrong.errors)")
  }
}

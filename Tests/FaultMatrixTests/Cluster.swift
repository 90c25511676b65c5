import Foundation
import Harness
import JSON

/// A coordinator and its workers, as processes of their own that meet over tcp; whatever is left of them is killed
/// when the last holder of this lets go.
final class Cluster {
  /// What the rows train, but for what they change: windows over three tiers, evaluations, checkpoints.
  static let config: [String: JSONValue] = [
    "inactive_gradients": "sum", "num_steps": 60, "eval_every": 20, "checkpoint_every": 15,
    "tier_update_frequencies": [1, 3, 7], "gradient_accumulation_steps": 4,
  ]

  let run: TrainingRun
  let reference: Reference
  private(set) var coordinator: Running
  /// Where the coordinator listens: `tcp://HOST:PORT`.
  private(set) var address = ""
  private var started: [Running] = []
  private let flags: [String]

  /// Starts a coordinator.
  ///
  /// - Parameters:
  ///   - changes: config keys beyond `config`
  ///   - faults: its failpoints, and those of its local workers
  ///   - prefix: a command that runs it elsewhere, as on another host
  ///   - listen: `HOST:PORT`; port 0 takes a free one
  init(
    _ changes: [String: JSONValue] = [:], flags: [String] = [], faults: String = "", localWorkers: Int = 0,
    listen: String = "127.0.0.1:0", prefix: [String] = []
  ) throws {
    let config = Self.config.merging(changes) { $1 }
    // They change no bit, and one worker alone would wait for a second.
    reference = try Reference.of(
      config.filter { !["verify_fraction", "flush_every"].contains($0.key) })
    run = try TrainingRun(config)
    self.flags =
      ["--local-workers", "\(localWorkers)", "--threads-per-worker", "1", "--listen", "tcp://\(listen)"]
      + flags
    coordinator = try run.start(self.flags, environment: Self.environment(faults), prefix: prefix)
    started.append(coordinator)
    try findAddress()
  }

  deinit { for program in started where program.process.isRunning { program.terminate() } }

  static func environment(_ faults: String) -> [String: String] {
    faults.isEmpty ? [:] : ["NL_FAILPOINTS": faults]
  }

  /// The address that the coordinator chose, from its log.
  private func findAddress() throws {
    let running = coordinator
    let isThere = waitUntil(seconds: 20) {
      running.errors.contains("listening on tcp://") || !running.process.isRunning
    }
    let found = running.errors.split(separator: "\n").lazy.compactMap { line in
      line.range(of: "listening on ").map { line[$0.upperBound...] }
    }.first
    guard isThere, let found else {
      throw HarnessError("the coordinator does not listen: \(running.output)\(running.errors)")
    }
    address = String(found.prefix { $0 != "," && $0 != " " })
  }

  /// Goes on with the run, on the same address.
  func resume(faults: String = "") throws {
    var flags = flags
    if let place = flags.firstIndex(of: "--listen") { flags[place + 1] = address }
    coordinator = try Program.coord.start(
      ["resume", run.folder] + flags, environment: Self.environment(faults))
    started.append(coordinator)
  }

  /// Starts a worker with one thread.
  ///
  /// - Parameters:
  ///   - faults: its failpoints
  ///   - address: another way to the coordinator, as through a proxy
  @discardableResult func worker(
    _ faults: String = "", at address: String? = nil, flags: [String] = [], prefix: [String] = []
  ) throws -> Running {
    let worker = try Program.worker.start(
      ["--connect", address ?? self.address, "--threads", "1"] + flags,
      environment: Self.environment(faults), prefix: prefix)
    started.append(worker)
    return worker
  }

  /// Starts a proxy in front of the coordinator; returns it and the address that it listens on.
  func proxy(_ flags: [String]) throws -> (proxy: Running, address: String) {
    let target = String(address.dropFirst("tcp://".count))
    let proxy = try Program(name: TestBed.path("proxy.py")).start(["--connect", target] + flags)
    started.append(proxy)
    let marker = "listening on "
    guard waitUntil(seconds: 20, { proxy.output.contains("\n") }), proxy.output.hasPrefix(marker) else {
      throw HarnessError("the proxy does not listen: \(proxy.output)\(proxy.errors)")
    }
    return (proxy, "tcp://" + proxy.output.dropFirst(marker.count).prefix { $0 != "\n" })
  }

  /// Waits for a step to be committed.
  ///
  /// - Throws: `HarnessError` if the coordinator ends before, or it takes too long.
  func wait(forStep step: Int, seconds: Double = 60) throws {
    let (run, coordinator) = (run, coordinator)
    _ = waitUntil(seconds: seconds) { run.step >= step || !coordinator.process.isRunning }
    guard run.step >= step else {
      throw HarnessError(
        "step \(step) did not come, only \(run.step): \(coordinator.output)\(coordinator.errors)")
    }
  }

  /// Waits for the coordinator to complete the run.
  @discardableResult func finish(seconds: Double = 120) throws -> Program.Result {
    try coordinator.wait(seconds: seconds).expectSuccess()
  }

  /// Answers a question to the ledger.
  func ledger(_ query: String) throws -> String { try sqlite(run.file("state.sqlite"), query) }

  /// How the hand-outs to the worker of a process ended, and how often.
  func outcomes(of process: Int32) throws -> [String: Int] {
    let lines = try ledger(
      """
      SELECT outcome, count(*) FROM assignments JOIN workers USING (term, worker)
      WHERE pid = \(process) GROUP BY outcome
      """)
    return lines.split(separator: "\n").reduce(into: [:]) { counts, line in
      let parts = line.split(separator: "|")
      if parts.count == 2 { counts[String(parts[0])] = Int(parts[1]) }
    }
  }

  /// Seconds from each hand-out to a process that brought nothing, until the same work was handed to another.
  func secondsUntilHandedOutAgain(from process: Int32) throws -> [Double] {
    try ledger(
      """
      SELECT (julianday(min(b.handed_out_at)) - julianday(a.handed_out_at)) * 86400
      FROM assignments AS a JOIN workers AS w USING (term, worker) JOIN assignments AS b
        USING (purpose, step, first_micro_batch, last_micro_batch, tiers)
      WHERE w.pid = \(process) AND a.outcome <> 'committed' AND (b.term, b.attempt) > (a.term, a.attempt)
      GROUP BY a.term, a.attempt
      """
    ).split(separator: "\n").compactMap { Double($0) }
  }
}

/// The scripts beside the tests.
enum TestBed {
  static func path(_ name: String) -> String {
    Fixtures.tests.deletingLastPathComponent().appendingPathComponent("cluster/testbed/\(name)").path
  }
}

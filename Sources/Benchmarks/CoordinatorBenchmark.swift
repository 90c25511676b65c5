import Foundation
import JSON
import NestedLearning
import Service
import Training

/// What a coordinator bears: the real `nl-coord train`, as a process, on a run of its own, with workers over real ZeroMQ
/// that return canned gradients at once. What is left is the time of coordination alone.
///
/// A step has one micro-batch for each worker. Machines with few cores share them between the coordinator and its
/// workers, so the workers' processor time is in the report, too.
public struct CoordinatorBenchmark: Sendable {
  public enum Transport: String, CaseIterable, Sendable {
    case tcp, ipc
  }

  /// Steps that are not counted: all workers join in the first.
  private static let warmUpSteps = 3
  /// Without a hand-out for so long something is wrong, in seconds.
  private static let silenceSeconds = 120.0

  /// Workers, and micro-batches of a step.
  public var workers: Int
  /// Bytes of the gradients of all tiers that a worker sends, roughly: that for which there is a LoRA rank.
  public var gradientBytes: Double
  /// Steps that are measured.
  public var steps = 20
  /// A base model's folder; nil for a small one that is made for this.
  public var model: String?
  public var transport = Transport.tcp
  /// Update periods of the tiers. If all are 1, each worker sends everything at each step.
  public var periods = [1, 1, 1]
  public var inactiveGradients = InactiveGradients.discard

  public init(workers: Int, gradientBytes: Double) {
    self.workers = workers
    self.gradientBytes = gradientBytes
  }

  /// - Returns: `seconds_per_step` (median), `steps_per_second`, bytes in and out by step and second, processor
  ///   seconds per step of the coordinator and of the workers, the coordinator's `peak_rss_mb`, `memory`: that beside
  ///   what sums in leaf order may take, and `limit`: the rates
  ///   of plain memory copies and of a plain socket for messages of this size, the seconds that this socket would take
  ///   for a step's bytes, and what fraction of a step that is.
  /// - Throws: what keeps the run from starting or going on; processes and files are gone then.
  public func run() throws -> JSONValue {
    let interruption = Interruption()
    let folder = try ScratchFolder(in: NSTemporaryDirectory())
    defer { folder.remove() }
    let run = try BenchmarkRun(
      folder: folder.path, model: model, gradientBytes: gradientBytes, microBatches: workers,
      steps: lastStep, periods: periods, inactiveGradients: inactiveGradients)
    let limit = try Limit(socket, bytes: run.gradientBytes)
    let coordinator = try MeasuredCoordinator(run: run)
    defer { coordinator.end() }
    let endpoint = try coordinator.endpoint(socket, interruption)
    let fleet = CannedFleet(count: workers, marks: StepMarks { coordinator.usage })
    defer { fleet.stop() }
    fleet.start(endpoint: endpoint)
    try waitForEnd(fleet, coordinator, interruption)
    try coordinator.finish(interruption)
    return try report(run, fleet, limit)
  }

  private var socket: PlainSocket.Transport { transport == .tcp ? .tcp : .ipc }

  private var firstStep: Int { Self.warmUpSteps + 1 }
  /// The last of the run is not measured: it ends the one before.
  private var lastStep: Int { Self.warmUpSteps + steps + 1 }

  /// Waits until all workers have been sent away.
  private func waitForEnd(
    _ fleet: CannedFleet, _ coordinator: MeasuredCoordinator, _ interruption: Interruption
  ) throws {
    while !fleet.hasEnded {
      try interruption.check()
      if let failure = fleet.failure { throw coordinator.failure("a canned worker failed: \(failure)") }
      guard coordinator.isRunning || fleet.marks.mark(of: lastStep) != nil else {
        throw coordinator.failure("nl-coord has ended before its time")
      }
      guard fleet.marks.silentSeconds < Self.silenceSeconds else {
        throw coordinator.failure("nothing was handed out for \(Int(Self.silenceSeconds)) s")
      }
      usleep(20_000)
    }
  }
}

// MARK: - The report

extension CoordinatorBenchmark {
  /// What nothing that moves these bytes can beat, in bytes a second.
  private struct Limit {
    let memoryCopy: Double
    let socket: Double

    init(_ transport: PlainSocket.Transport, bytes: Int) throws {
      memoryCopy = MemoryCopy.bytesPerSecond(copying: bytes)
      socket = try PlainSocket.bytesPerSecond(transport, sending: bytes)
    }
  }

  private func report(_ run: BenchmarkRun, _ fleet: CannedFleet, _ limit: Limit) throws -> JSONValue {
    let marks = try (firstStep...lastStep).map { step in
      guard let mark = fleet.marks.mark(of: step) else {
        throw ServiceError("step \(step) was not handed out")
      }
      return mark
    }
    let times = Durations(zip(marks, marks.dropFirst()).map { $1.time.seconds(since: $0.time) })
    let traffic = try Self.bytes(of: firstStep..<lastStep, run.metrics())
    let bytesPerStep = Double(traffic.up + traffic.down) / Double(steps)
    let handOuts = (firstStep..<lastStep).reduce(0) { $0 + fleet.marks.handOuts(of: $1) }
    return .object(
      JSONObject(
        what(run).members + speed(times, traffic).members + usage(marks).members + [
          .init(key: "hand_outs_per_step", value: .number(Double(handOuts) / Double(steps))),
          .init(key: "sessions_lost", value: .number(fleet.lostSessions.count)),
          .init(key: "lost_because", value: .array(fleet.lostSessions.map { .string($0) })),
          .init(key: "snapshot_seconds", value: .number(traffic.snapshotSeconds)),
          .init(key: "memory", value: memory(run, marks)),
          .init(key: "limit", value: comparison(limit, bytesPerStep, times)),
        ]))
  }

  private func what(_ run: BenchmarkRun) -> JSONObject {
    [
      "workers": .number(workers), "steps": .number(steps), "transport": .string(transport.rawValue),
      "model": .string(model ?? "made for this"), "lora_rank": .number(run.rank),
      "gradient_mb": .number(Double(run.gradientBytes) / 1e6), "periods": .numbers(periods),
      "inactive_gradients": .string(inactiveGradients.rawValue),
    ]
  }

  private func speed(_ times: Durations, _ traffic: Traffic) -> JSONObject {
    [
      "seconds_per_step": .number(times.median), "best_seconds": .number(times.best),
      "worst_seconds": .number(times.worst), "steps_per_second": .number(Double(steps) / times.sum),
      "bytes_in_per_step": .number(Double(traffic.up) / Double(steps)),
      "bytes_out_per_step": .number(Double(traffic.down) / Double(steps)),
      "gb_in_per_second": .number(Double(traffic.up) / times.sum * 1e-9),
      "gb_out_per_second": .number(Double(traffic.down) / times.sum * 1e-9),
    ]
  }

  /// The coordinator's peak is that up to the end of the last measured step.
  private func usage(_ marks: [StepMarks.Mark]) -> JSONObject {
    guard let first = marks.first, let last = marks.last, let before = first.coordinator,
      let after = last.coordinator
    else { return [:] }
    let count = Double(steps)
    return [
      "coordinator_cpu_seconds_per_step": .number((after.processorSeconds - before.processorSeconds) / count),
      "coordinator_kernel_seconds_per_step": .number((after.systemSeconds - before.systemSeconds) / count),
      "workers_cpu_seconds_per_step": .number((last.workersSeconds - first.workersSeconds) / count),
      "peak_rss_mb": .number(Double(after.peakResidentBytes) / 1_048_576),
    ]
  }

  /// The coordinator's peak beside what it may need for sums that are made as results come: one for each level of the
  /// tree and four results more, over 200 MB for all else. With windows everything is kept until the step is complete,
  /// and nothing is promised.
  private func memory(_ run: BenchmarkRun, _ marks: [StepMarks.Mark]) -> JSONValue {
    guard let peak = marks.last?.coordinator?.peakResidentBytes, inactiveGradients == .discard else {
      return nil
    }
    let levels = (0..<20).first { 1 << $0 >= workers } ?? 20
    let limit = Double((levels + 4) * run.gradientBytes) + 200e6
    return [
      "peak_mb": .number(Double(peak) / 1e6), "limit_mb": .number(limit / 1e6),
      "is_within_limit": .bool(Double(peak) <= limit),
    ]
  }

  private func comparison(_ limit: Limit, _ bytesPerStep: Double, _ times: Durations) -> JSONValue {
    [
      "memory_copy_gb_per_second": .number(limit.memoryCopy * 1e-9),
      "plain_socket_gb_per_second": .number(limit.socket * 1e-9),
      "plain_socket_seconds_per_step": .number(bytesPerStep / limit.socket),
      "fraction_of_memory_copy": .number(bytesPerStep / limit.memoryCopy / times.median),
      "fraction_of_plain_socket": .number(bytesPerStep / limit.socket / times.median),
    ]
  }

  /// What the coordinator has counted in some steps, in bytes.
  private struct Traffic {
    var up = 0
    var down = 0
    /// Time in which the run stood still for snapshots.
    var snapshotSeconds = 0.0
  }

  private static func bytes(of steps: Range<Int>, _ metrics: [Int: JSONValue]) throws -> Traffic {
    var traffic = Traffic()
    for step in steps {
      guard let row = metrics[step], let bytes = row["traffic"] else {
        throw ServiceError("step \(step) is not in the run's metrics")
      }
      func sum(_ keys: String...) -> Int {
        keys.reduce(0) { $0 + (bytes[$1]?.array ?? []).reduce(0) { $0 + ($1.int ?? 0) } }
      }
      traffic.up += sum("boundary_up", "flush_up", "other_up")
      traffic.down += sum("parameters_down", "chains_down")
      traffic.snapshotSeconds += row["snapshot_time"]?.double ?? 0
    }
    return traffic
  }
}

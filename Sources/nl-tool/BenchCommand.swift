import ArgumentParser
import Benchmarks
import Files
import Foundation
import JSON
import NestedLearning
import Service
import Tensors

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure this machine: matrix products, whole steps, and what coordination costs.",
    subcommands: [Gemm.self, Step.self, Coordinator.self, Wire.self, Ledger.self])

  struct Gemm: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "gemm",
      abstract: "The rate of the matrix product beside the CPU's measured peak.",
      discussion: """
        Packing is included and weights are cold, as in training.

        Example:
          nl-tool bench gemm --json
        """)

    @Option(help: "How many threads compute.")
    var threads = 1

    @Option(help: "Products with frozen weights, as the config's key of this name says.")
    var arithmetic: Arithmetic?

    @Option(help: "Another word for arithmetic: f32, f32_tiles, bf16 (bf16_dot) or amx (bf16_tiles).")
    var precision: Precision?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      if arithmetic == .auto {
        throw ValidationError("--arithmetic auto needs a model; see nl-tool bench step")
      }
      if arithmetic != nil, precision != nil {
        throw ValidationError("--precision is another word for --arithmetic; give one of the two")
      }
    }

    func run() throws {
      var benchmark = GEMMBenchmark()
      benchmark.precision = arithmetic?.precision ?? precision ?? .f32
      BenchCommand.show(try benchmark.run(threads: threads), asJSON: json)
    }
  }

  struct Step: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "step",
      abstract:
        "The time of one step: forward, backward, clipping and update, LoRA of rank 8 on all projections.",
      discussion: """
        Tokens are random, so a folder needs only config.json and weights.

        Example:
          nl-tool bench step --model Qwen2.5-0.5B --batch 1 --seq 128 --threads 2 --json
          nl-tool bench step --model Qwen2.5-0.5B --threads 2 --tokens-report
        """)

    @Option(help: "A model folder in Hugging Face's layout.")
    var model: String

    @Option(help: "Rows in the micro-batch.")
    var batch = 1

    @Option(help: "Tokens in a row.")
    var seq = 128

    @Option(help: "How many threads compute.")
    var threads = 1

    @Option(
      help: "Products with the model's matrices, as the config's key of this name says; auto is resolved.")
    var arithmetic: Arithmetic?

    @Option(help: "Another word for arithmetic: f32, f32_tiles, bf16 (bf16_dot) or amx (bf16_tiles).")
    var precision: Precision?

    @Option(help: "off: plain fine-tuning. Else three tiers, and which layers are in the fast one.")
    var nested = NestedOption.off

    @Option(help: "With tiers: what becomes of gradients between a tier's updates.")
    var inactiveGradients = InactiveGradients.discard

    @Option(help: "What is kept for the backward pass: all, or with layer only the inputs of layers.")
    var activationCheckpointing = ActivationCheckpointing.none

    @Option(help: "Seconds after which no further step is begun, once three of each kind are counted.")
    var seconds = 20.0

    @Flag(help: "A table: tokens a second for rows of 128, 512 and 2048 tokens in each arithmetic.")
    var tokensReport = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      if tokensReport, arithmetic != nil || precision != nil || nested != .off {
        throw ValidationError(
          "--tokens-report times plain steps in every arithmetic; leave --arithmetic, --precision and --nested out"
        )
      }
      for (name, value) in [("batch", batch), ("threads", threads)] where value < 1 {
        throw ValidationError("--\(name) must be at least 1")
      }
      if seq < 2 { throw ValidationError("--seq must be at least 2") }
      if arithmetic != nil, precision != nil {
        throw ValidationError("--precision is another word for --arithmetic; give one of the two")
      }
    }

    func run() throws {
      if tokensReport {
        let report = try TokensReport(model: model, threads: threads, seconds: seconds).run()
        return print(json ? report.text : TokensReport.table(report))
      }
      let report = try StepBenchmark(
        model: model, batch: batch, sequence: seq, threads: threads,
        arithmetic: arithmetic ?? precision?.arithmetic ?? .f32,
        nested: nested.order.map { .init(order: $0, inactiveGradients: inactiveGradients) },
        recomputesLayers: activationCheckpointing == .layer, seconds: seconds
      ).run()
      BenchCommand.show(report, asJSON: json)
    }
  }

  struct Coordinator: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "coordinator",
      abstract: "The time of a step that is coordination alone.",
      discussion: """
        The real nl-coord trains on a run of its own, with workers over real ZeroMQ that return canned gradients at \
        once. The workers share this machine: what they take of its processors is reported, too.

        Example:
          nl-tool bench coordinator --workers 64 --gradient-mb 17.6
        """)

    @Option(help: "Workers, and micro-batches of a step.")
    var workers = 4

    @Option(help: "Megabytes of all tiers' gradients together, roughly: a LoRA rank is chosen for it.")
    var gradientMb = 17.6

    @Option(help: "How many steps are measured.")
    var steps = 20

    @Option(help: "A base model's folder; by default a small model is made.")
    var model: String?

    @Option(help: "How workers are connected: tcp or ipc.")
    var transport: CoordinatorBenchmark.Transport = .tcp

    @Option(
      parsing: .upToNextOption,
      help: "Update periods of the tiers; if all are 1, all gradients are sent at each step.")
    var periods: [Int] = [1, 1, 1]

    @Option(help: "What becomes of gradients between a tier's updates: discard, mean or sum.")
    var inactiveGradients: InactiveGradients = .discard

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      guard (1...1024).contains(workers) else { throw ValidationError("--workers must be from 1 to 1024") }
      guard (1...1_000_000).contains(steps) else { throw ValidationError("--steps must be at least 1") }
      guard gradientMb > 0, gradientMb <= 4096 else {
        throw ValidationError("--gradient-mb must be above 0, and at most 4096")
      }
      guard !periods.isEmpty, periods.allSatisfy({ $0 >= 1 }) else {
        throw ValidationError("--periods must be at least 1 each")
      }
    }

    func run() throws {
      var benchmark = CoordinatorBenchmark(workers: workers, gradientBytes: gradientMb * 1e6)
      benchmark.steps = steps
      benchmark.model = model.map(FileSystem.absolute)
      benchmark.transport = transport
      benchmark.periods = periods
      benchmark.inactiveGradients = inactiveGradients
      try BenchCommand.show(benchmark.run(), asJSON: json)
    }
  }

  struct Wire: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "wire",
      abstract: "The rate at which results travel, checked at both ends.",
      discussion: """
        Over TCP and over ipc, beside plain sockets, plain copies and the two checksums alone.

        Example:
          nl-tool bench wire --megabytes 17.6
        """)

    @Option(help: "Megabytes of a result's gradient.")
    var megabytes = 17.6

    @Option(help: "KiB that may be under way at once.")
    var windowKib = 4096

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      guard megabytes > 0, megabytes <= 1024 else {
        throw ValidationError("--megabytes must be above 0, and at most 1024")
      }
      guard (1...1 << 20).contains(windowKib) else {
        throw ValidationError("--window-kib must be from 1 to 1048576")
      }
    }

    func run() throws {
      var benchmark = WireBenchmark(bytes: Int(megabytes * 1e6))
      benchmark.windowBytes = windowKib << 10
      try BenchCommand.show(benchmark.run(), asJSON: json)
    }
  }

  struct Ledger: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "ledger",
      abstract: "The time in which a step becomes durable.",
      discussion: """
        Commits as a run makes them, beside plain writes of as many bytes, each on the disk before the next.

        Example:
          nl-tool bench ledger --folder runs
        """)

    @Option(help: "How many commits are measured.")
    var steps = 500

    @Option(help: "Hand-outs that are recorded with each step.")
    var workers = 4

    @Option(help: "A folder on the disk that is to be measured; nothing stays in it.")
    var folder = "."

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      guard (1...10_000_000).contains(steps) else { throw ValidationError("--steps must be at least 1") }
      guard (1...1024).contains(workers) else { throw ValidationError("--workers must be from 1 to 1024") }
    }

    func run() throws {
      var benchmark = LedgerBenchmark(
        folder: FileSystem.absolute(folder), steps: steps)
      benchmark.workers = workers
      try BenchCommand.show(benchmark.run(), asJSON: json)
    }
  }

  fileprivate static func show(_ report: JSONValue, asJSON: Bool) {
    print(asJSON ? report.text : String(decoding: report.bytes(indent: 2), as: UTF8.self))
  }
}

/// `--nested`
enum NestedOption: String, CaseIterable, ExpressibleByArgument {
  case off
  case shallowFast = "shallow_fast"
  case deepFast = "deep_fast"

  var order: TierOrder? { TierOrder(rawValue: rawValue) }
}

extension Precision: ExpressibleByArgument {}
extension Arithmetic: ExpressibleByArgument {}
extension CoordinatorBenchmark.Transport: ExpressibleByArgument {}
extension InactiveGradients: ExpressibleByArgument {}
extension ActivationCheckpointing: ExpressibleByArgument {}

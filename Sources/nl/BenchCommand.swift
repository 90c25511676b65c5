import ArgumentParser
import JSON
import NestedLearning
import Service
import Tensors

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure this machine: matrix products, and whole steps of training.",
    subcommands: [Gemm.self, Step.self])

  struct Gemm: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "gemm",
      abstract: "The rate of the matrix product beside the CPU's measured peak.",
      discussion: """
        Packing is included and weights are cold, as in training.

        Example:
          nl bench gemm --json
        """)

    @Option(help: "How many threads compute.")
    var threads = 1

    @Option(help: "Products with frozen weights: f32, bf16 (as AVX512_BF16 adds) or amx (as AMX adds).")
    var precision = Precision.f32

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
      var benchmark = GEMMBenchmark()
      benchmark.precision = precision
      let report = try benchmark.run(threads: threads)
      print(json ? report.text : String(decoding: report.bytes(indent: 2), as: UTF8.self))
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
          nl bench step --model Qwen2.5-0.5B --batch 1 --seq 128 --threads 2 --json
        """)

    @Option(help: "A model folder in Hugging Face's layout.")
    var model: String

    @Option(help: "Rows in the micro-batch.")
    var batch = 1

    @Option(help: "Tokens in a row.")
    var seq = 128

    @Option(help: "How many threads compute.")
    var threads = 1

    @Option(help: "Products with the model's matrices: f32, bf16 (as AVX512_BF16 adds) or amx (as AMX adds).")
    var precision = Precision.f32

    @Option(help: "off: plain fine-tuning. Else three tiers, and which layers are in the fast one.")
    var nested = NestedOption.off

    @Option(help: "With tiers: what becomes of gradients between a tier's updates.")
    var inactiveGradients = InactiveGradients.discard

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      for (name, value) in [("batch", batch), ("threads", threads)] where value < 1 {
        throw ValidationError("--\(name) must be at least 1")
      }
      if seq < 2 { throw ValidationError("--seq must be at least 2") }
    }

    func run() throws {
      let report = try StepBenchmark(
        model: model, batch: batch, sequence: seq, threads: threads, precision: precision,
        nested: nested.order.map { .init(order: $0, inactiveGradients: inactiveGradients) }
      ).run()
      print(json ? report.text : String(decoding: report.bytes(indent: 2), as: UTF8.self))
    }
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
extension InactiveGradients: ExpressibleByArgument {}

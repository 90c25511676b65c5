import JSON
import Kernels
import NestedLearning

/// How many tokens a second are trained on, in each arithmetic, for rows of several lengths: each by `StepBenchmark`.
public struct TokensReport {
  /// Tokens in the row of a step; as long as people's rows and packs are.
  public static let lengths = [128, 512, 2048]
  private static let arithmetics: [Arithmetic] = [.f32, .f32Tiles, .bf16Dot, .bf16Tiles]

  private let model: String
  private let threads: Int
  private let lengths: [Int]
  private let seconds: Double

  /// - Parameters:
  ///   - model: a model folder.
  ///   - lengths: tokens in a row, each at least 2.
  ///   - seconds: after which no further step of one length and arithmetic is begun, once three are counted.
  public init(model: String, threads: Int, lengths: [Int] = TokensReport.lengths, seconds: Double = 20) {
    self.model = model
    self.threads = threads
    self.lengths = lengths
    self.seconds = seconds
  }

  /// - Returns: `rates`, each with `arithmetic`, `tokens` of a step, `tokens_per_second` by the best step and
  ///   `median_tokens_per_second`; and `threads` and `isa`.
  /// - Throws: what `StepBenchmark` does.
  public func run() throws -> JSONValue {
    var rates: [JSONValue] = []
    for arithmetic in Self.arithmetics {
      for length in lengths {
        let step = try StepBenchmark(
          model: model, batch: 1, sequence: length, threads: threads, arithmetic: arithmetic, seconds: seconds
        ).run()
        let best = step["best_seconds_per_step"]?.double ?? .nan
        rates.append([
          "arithmetic": .string(arithmetic.rawValue), "tokens": .number(length),
          "tokens_per_second": .number(Double(length) / best),
          "median_tokens_per_second": step["tokens_per_second"] ?? .null,
        ])
      }
    }
    return [
      "rates": .array(rates), "threads": .number(threads),
      "isa": .string(String(cString: nl_isa_name(nl_isa_current()))),
    ]
  }

  /// The report as a table in Markdown, a row for each arithmetic; tokens a second by the best step.
  public static func table(_ report: JSONValue) -> String {
    let rates = report["rates"]?.array ?? []
    var lengths: [Int] = []
    for length in rates.compactMap({ $0["tokens"]?.int }) where !lengths.contains(length) {
      lengths.append(length)
    }
    var lines = [
      "| arithmetic | " + lengths.map { "\($0) tokens" }.joined(separator: " | ") + " |",
      "|---|" + lengths.map { _ in "---|" }.joined(),
    ]
    for arithmetic in arithmetics.map(\.rawValue) {
      let row = rates.filter { $0["arithmetic"]?.string == arithmetic }
      guard !row.isEmpty else { continue }
      let numbers = row.map { ($0["tokens_per_second"]?.double).map { "\(Int($0.rounded()))" } ?? "–" }
      lines.append("| `\(arithmetic)` | " + numbers.joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n")
  }
}

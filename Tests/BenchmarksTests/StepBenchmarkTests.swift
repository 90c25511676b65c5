import Benchmarks
import Foundation
import JSON
import LanguageModel
import NestedLearning
import Testing

@Suite struct StepBenchmarkTests {
  /// Tiny random model of the language model's fixtures.
  private let model = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../LanguageModelTests/Fixtures/models/qwen2_f32").standardized.path

  /// The numbers belong together: tokens_per_second · seconds_per_step = batch · sequence, and gflops is
  /// 4·(weights of the projections · tokens + weights of the head · trained tokens) over the same time.
  @Test func reportIsConsistent() throws {
    let report = try StepBenchmark(model: model, batch: 2, sequence: 16, threads: 2).run()
    let seconds = try #require(report["seconds_per_step"]?.double)
    let tokens = try #require(report["tokens_per_second"]?.double)
    let gflops = try #require(report["gflops"]?.double)
    #expect(seconds > 0)
    #expect(abs(tokens * seconds - 32) < 1e-9)
    // hidden 32, intermediate 48, 4 heads and 2 key/value heads of 8, 4 layers, vocabulary 300
    let layer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48
    let operations = 4.0 * Double(4 * layer * 32 + 300 * 32 * 30)
    #expect(abs(gflops * seconds * 1e9 / operations - 1) < 1e-12)
    #expect(try #require(report["peak_rss_mb"]?.double) > 1)
    // Two threads use at most twice the elapsed time, but for the kernel's accounting.
    let processor = try #require(report["best_processor_seconds_per_step"]?.double)
    #expect(processor > 0 && processor < 2 * seconds + 0.02)
    // Random tokens of 300: the loss is about log 300 = 5.7 or, with these weights, more.
    let loss = try #require(report["last_loss"]?.double)
    #expect(loss > 4 && loss < 12)
  }

  /// With tiers 1, 2, 4 there are four kinds of steps: at every fourth all tiers are due, at the second two, else one.
  /// Then less is computed where gradients are discarded, but not where they are kept; which is timed is for the user.
  @Test(arguments: InactiveGradients.allCases) func tiers(gradients: InactiveGradients) throws {
    let report = try StepBenchmark(
      model: model, batch: 1, sequence: 16, threads: 1, arithmetic: .bf16Dot,
      nested: .init(order: .deepFast, inactiveGradients: gradients)
    ).run()
    let kinds = try #require(report["seconds_by_kind"]?.array).compactMap(\.double)
    let seconds = try #require(report["seconds_per_step"]?.double)
    #expect(kinds.count == 4 && abs(kinds.reduce(0, +) / 4 - seconds) < 1e-12)
    #expect(report["nested"] == "deep_fast" && report["precision"] == "bf16")
    #expect(report["arithmetic"] == "bf16_dot")
    #expect(report["best_seconds_per_step"] == report["best_seconds"])
    #expect(report["inactive_gradients"]?.string == gradients.rawValue)
    #expect(try #require(report["steps"]?.int) % 4 == 0)
  }

  /// Every arithmetic at every length, and the table has the JSON's numbers.
  @Test func tokensReport() throws {
    let report = try TokensReport(model: model, threads: 1, lengths: [8, 16], seconds: 0).run()
    let rates = try #require(report["rates"]?.array)
    #expect(rates.count == 8 && rates.allSatisfy { ($0["tokens_per_second"]?.double ?? 0) > 0 })
    for rate in rates {
      // The best step is no slower than the median one.
      #expect(
        try #require(rate["tokens_per_second"]?.double) >= #require(rate["median_tokens_per_second"]?.double))
    }
    let lines = TokensReport.table(report).split(separator: "\n")
    #expect(lines.count == 6 && lines[0] == "| arithmetic | 8 tokens | 16 tokens |")
    let second = try #require(rates[3]["tokens_per_second"]?.double)
    #expect(lines[3].hasPrefix("| `f32_tiles` | ") && lines[3].hasSuffix(" | \(Int(second.rounded())) |"))
  }

  @Test func refusesWhatCannotBeTimed() {
    #expect(throws: ModelError.self) { try StepBenchmark(model: model, batch: 1, sequence: 1, threads: 1) }
    #expect(throws: ModelError.self) {
      try StepBenchmark(model: model + "/none", batch: 1, sequence: 8, threads: 1)
    }
  }
}

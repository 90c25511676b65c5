import JSON
import Testing

@testable import Benchmarks

@Suite struct GEMMBenchmarkTests {
  // What is in the report, not how fast this machine is.
  @Test func reportsEveryProduct() throws {
    var benchmark = GEMMBenchmark()
    benchmark.tokens = [8]
    benchmark.weights = [(64, 96)]
    benchmark.ranks = [4]
    benchmark.secondsPerFigure = 0
    let report = try benchmark.run(threads: 2)
    #expect(report["threads"]?.int == 2)
    let products = report["products"]?.array ?? []
    #expect(
      products.map { $0["operation"]?.string } == ["forward", "input_gradient", "forward", "input_gradient"])
    #expect(products.map { $0["weights"]?.string } == ["bf16", "bf16", "f32", "f32"])
    #expect(products.map { $0["columns"]?.int } == [96, 64, 96, 64])
    #expect(products.map { $0["depth"]?.int } == [64, 96, 64, 96])
    let lora = report["lora"]?.array ?? []
    #expect(lora.map { $0["operation"]?.string } == ["down", "up", "gradient", "down", "up", "gradient"])
    for figure in products + lora + [report["geometric_means"]?["f32"] ?? .null] {
      #expect((figure["gflops"]?.double ?? 0) > 0)
      #expect((figure["fraction_of_peak"]?.double ?? 0) > 0)
    }
  }
}

import Testing

@testable import Benchmarks

@Suite struct DurationsTests {
  /// The median of an even number is the mean of the two in the middle; percentiles are nearest ranks: of 1 … 200 the
  /// 198th is not exceeded by 99 %.
  @Test func order() {
    #expect(Durations([3, 1, 2]).median == 2)
    #expect(Durations([4, 1, 3, 2]).median == 2.5)
    let many = Durations((1...200).reversed().map(Double.init))
    #expect(many.percentile(0.99) == 198)
    #expect(many.percentile(0) == 1)
    #expect(many.percentile(1) == 200)
    #expect((many.best, many.worst, many.sum, many.count) == (1, 200, 20_100, 200))
    #expect(Durations([]).median.isNaN && Durations([]).percentile(0.5).isNaN)
  }
}

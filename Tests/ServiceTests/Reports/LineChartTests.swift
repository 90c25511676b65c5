import Testing

@testable import Service

@Suite struct LineChartTests {
  private func chart(_ points: [(Double, Double)], isLogarithmic: Bool = false) -> String {
    LineChart(
      title: "a < b", series: [.init(name: "\"x\" & y", points: points.map { ($0.0, $0.1) }, hasDots: true)],
      isLogarithmic: isLogarithmic
    ).html
  }

  /// The y of each dot on the page, in the order of the points.
  private func heights(_ html: String) -> [Double] {
    html.components(separatedBy: "cy=\"").dropFirst().compactMap { Double($0.prefix { $0 != "\"" }) }
  }

  @Test func valuesAreDrawnInProportion() {
    let linear = heights(chart([(1, 0), (2, 1), (3, 3)]))
    #expect(linear.count == 3 && linear[0] > linear[1] && linear[1] > linear[2])
    #expect(abs((linear[1] - linear[2]) - 2 * (linear[0] - linear[1])) < 0.3)
    let logarithmic = heights(chart([(1, 0.01), (2, 0.1), (3, 1)], isLogarithmic: true))
    #expect(abs((logarithmic[1] - logarithmic[2]) - (logarithmic[0] - logarithmic[1])) < 0.3)
  }

  /// Nothing that a run may come to makes a page that a browser cannot draw.
  @Test func whatCannotBeDrawnIsLeftOut() {
    #expect(chart([]).isEmpty && chart([(1, .nan), (2, .infinity)]).isEmpty)
    #expect(chart([(1, 0), (2, -1)], isLogarithmic: true).isEmpty)
    #expect(heights(chart([(1, 0), (2, 5)], isLogarithmic: true)).count == 1)
    for points in [[(1.0, 2.0)], [(1, 2), (2, 2)], [(1, 1e-300), (2, 1e300)], [(5, 0), (6, 0)]] {
      for isLogarithmic in [false, true] {
        let html = chart(points, isLogarithmic: isLogarithmic)
        #expect(!html.contains("nan") && !html.contains("inf"), "\(points) \(html)")
      }
    }
  }

  @Test func namesAreEscaped() {
    let html = chart([(1, 2)])
    #expect(html.contains("a &lt; b") && html.contains("&quot;x&quot; &amp; y") && !html.contains("a < b"))
    #expect(HTMLPage.escaped("<a href='x'>\u{0}\u{1b}") == "&lt;a href='x'&gt;\u{FFFD}\u{FFFD}")
  }

  /// A curve has no more points than can be seen, and they have the mean of all.
  @Test func longCurvesAreThinned() {
    let points = (0..<10_001).map { (x: Double($0), y: Double($0 % 7)) }
    let thinned = LineChart.thinned(points)
    #expect(thinned.count == 400 && thinned.allSatisfy { abs($0.y - 3) < 0.3 })
    #expect(zip(thinned, thinned.dropFirst()).allSatisfy { $0.x < $1.x })
    let smoothed = LineChart.smoothed(points)
    #expect(smoothed.count == points.count && abs((smoothed.last?.y ?? 0) - 3) < 0.05)
    // The reference is the mean over the last five of a hundred.
    let few = (0..<100).map { (x: Double($0), y: Double($0 * $0)) }
    let means = few.indices.map { index in
      let part = few[max(0, index - 4)...index]
      return part.reduce(0) { $0 + $1.y } / Double(part.count)
    }
    #expect(zip(LineChart.smoothed(few), means).allSatisfy { abs($0.y - $1) < 1e-6 })
  }
}

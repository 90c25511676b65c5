import Foundation

/// Curves over steps as SVG within a page.
struct LineChart {
  struct Series {
    let name: String
    /// x ascending; what is not finite, or not above 0 on a logarithmic axis, is left out.
    let points: [(x: Double, y: Double)]
    /// Drawn thin, behind the others.
    var isFaint = false
    /// A dot at each point.
    var hasDots = false
    /// Whether the points are joined.
    var hasLine = true
    /// Which of the page's colours it has; nil: by its place.
    var color: Int?
  }

  let title: String
  let series: [Series]
  var isLogarithmic = false

  /// The colours that a page has.
  static let colorCount = 6
  /// Points that a curve of this width can show.
  private static let mostPoints = 400
  private static let size = (width: 560.0, height: 260.0)
  private static let frame = (left: 62.0, right: 12.0, top: 8.0, bottom: 24.0)

  /// Empty if there is nothing to draw.
  var html: String {
    let drawn = series.enumerated().compactMap { place, series -> (Series, Int, [(x: Double, y: Double)])? in
      let points = Self.thinned(series.points.filter { $0.y.isFinite && (!isLogarithmic || $0.y > 0) })
      return points.isEmpty ? nil : (series, (series.color ?? place) % Self.colorCount, points)
    }
    guard let scale = Scale(points: drawn.flatMap(\.2), isLogarithmic: isLogarithmic) else { return "" }
    let curves = drawn.sorted { $0.0.isFaint && !$1.0.isFaint }.map { Self.curve($0, color: $1, $2, scale) }
    let key = drawn.map { series, color, _ in
      let line =
        "<svg viewBox=\"0 0 18 8\" aria-hidden=\"true\"><path class=\"curve c\(color)\(series.isFaint ? " thin" : "")\" "
        + "d=\"M0 4H18\"/></svg>"
      return "<span>\(line)\(HTMLPage.escaped(series.name))</span>"
    }
    let name = HTMLPage.escaped(title)
    return """
      <figure><figcaption>\(name)</figcaption>
      <svg viewBox="0 0 \(Int(Self.size.width)) \(Int(Self.size.height))" role="img" aria-label="\(name)">
      \(scale.grid)
      \(curves.joined(separator: "\n"))
      </svg>
      \(drawn.count > 1 ? "<div class=\"key\">\(key.joined())</div>" : "")</figure>
      """
  }

  private static func curve(
    _ series: Series, color: Int, _ points: [(x: Double, y: Double)], _ scale: Scale
  ) -> String {
    let places = points.map { (scale.x($0.x), scale.y($0.y)) }
    let path = places.enumerated().map { index, place in
      "\(index == 0 ? "M" : "L")\(Self.text(place.0)) \(Self.text(place.1))"
    }.joined()
    var parts = series.hasLine ? [line(path, series, color)] : []
    guard series.hasDots || points.count == 1 else { return parts.joined() }
    for (point, place) in zip(points, places) {
      parts.append(
        "<circle class=\"f\(color)\" cx=\"\(text(place.0))\" cy=\"\(text(place.1))\" r=\"3\">"
          + "<title>\(HTMLPage.escaped(series.name)), step \(label(point.x)): \(label(point.y))</title></circle>"
      )
    }
    return parts.joined()
  }

  private static func line(_ path: String, _ series: Series, _ color: Int) -> String {
    "<path class=\"curve c\(color)\(series.isFaint ? " thin" : "")\" d=\"\(path)\"/>"
  }

  /// Neighbours as their mean, so that no curve has more points than can be seen.
  static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
    guard points.count > mostPoints else { return points }
    return (0..<mostPoints).map { part in
      let some = points[part * points.count / mostPoints..<(part + 1) * points.count / mostPoints]
      let count = Double(some.count)
      return (some.reduce(0) { $0 + $1.x } / count, some.reduce(0) { $0 + $1.y } / count)
    }
  }

  /// The mean over the points up to each, as many as a twentieth of all.
  static func smoothed(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
    let width = max(1, points.count / 20)
    var sum = 0.0
    return points.indices.map { index in
      sum += points[index].y
      if index >= width { sum -= points[index - width].y }
      return (points[index].x, sum / Double(min(index + 1, width)))
    }
  }

  private static func text(_ place: Double) -> String { String(format: "%.1f", place) }

  static func label(_ value: Double) -> String {
    let size = value.magnitude
    if value == 0 { return "0" }
    if size >= 1e6 || size < 1e-3 { return String(format: "%.3g", value) }
    return value == value.rounded() ? String(Int(value)) : String(format: "%.4g", value)
  }

  /// Where values are drawn, and the lines that say so.
  private struct Scale {
    let xs: ClosedRange<Double>
    let ys: ClosedRange<Double>
    let isLogarithmic: Bool

    init?(points: [(x: Double, y: Double)], isLogarithmic: Bool) {
      let values = points.map { isLogarithmic ? log10($0.y) : $0.y }
      guard let left = points.map(\.x).min(), let right = points.map(\.x).max(), let low = values.min(),
        let high = values.max()
      else { return nil }
      let room = high > low ? (high - low) * 0.04 : max(0.5 * high.magnitude, 0.5)
      xs = left...max(right, left + 1)
      ys = (low - room)...(high + room)
      self.isLogarithmic = isLogarithmic
    }

    func x(_ value: Double) -> Double {
      let width = size.width - frame.left - frame.right
      return frame.left + width * (value - xs.lowerBound) / (xs.upperBound - xs.lowerBound)
    }

    func y(_ value: Double) -> Double { height(isLogarithmic ? log10(value) : value) }

    private func height(_ value: Double) -> Double {
      let height = size.height - frame.top - frame.bottom
      return size.height - frame.bottom - height * (value - ys.lowerBound) / (ys.upperBound - ys.lowerBound)
    }

    var grid: String {
      let bottom = size.height - frame.bottom
      let values = isLogarithmic ? logarithmicTicks : ticks(ys, 5)
      let rows = values.map { value in
        let place = height(value)
        let shown = label(isLogarithmic ? pow(10, value) : value)
        return
          "<path class=\"grid\" d=\"M\(text(frame.left)) \(text(place))H\(text(size.width - frame.right))\"/>"
          + "<text x=\"\(text(frame.left - 8))\" y=\"\(text(place + 4))\" text-anchor=\"end\">\(shown)</text>"
      }
      let columns = ticks(xs, 6).map { value in
        "<text x=\"\(text(x(value)))\" y=\"\(text(bottom + 18))\" text-anchor=\"middle\">\(label(value))</text>"
      }
      return (rows + columns).joined(separator: "\n")
    }

    /// The logarithms of round values: powers of ten, with twice and five times these where there is room, and where the
    /// range is narrow, values that are equally far apart.
    private var logarithmicTicks: [Double] {
      let powers = Int(floor(ys.lowerBound))...Int(ceil(ys.upperBound))
      guard powers.count < 100 else { return [] }
      let choices = [[1.0, 2, 5], [1]].map { factors in
        powers.flatMap { power in factors.map { log10($0) + Double(power) } }.filter(ys.contains)
      }
      if choices[0].count < 3 {
        return ticks(pow(10, ys.lowerBound)...pow(10, ys.upperBound), 4).filter { $0 > 0 }.map(log10)
      }
      return choices[0].count <= 8 ? choices[0] : choices[1]
    }

    /// Round values within a range, about so many: 1, 2 or 5 times a power of ten apart.
    private func ticks(_ range: ClosedRange<Double>, _ count: Int) -> [Double] {
      let rough = (range.upperBound - range.lowerBound) / Double(count)
      let power = pow(10, floor(log10(rough)))
      let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? 10 * power
      let first = (range.lowerBound / step).rounded(.up)
      let last = (range.upperBound / step).rounded(.down)
      guard first <= last, last - first < 100 else { return [] }
      return stride(from: first, through: last, by: 1).map { $0 * step }
    }

    private func text(_ place: Double) -> String { LineChart.text(place) }
    private func label(_ value: Double) -> String { LineChart.label(value) }
    private var size: (width: Double, height: Double) { LineChart.size }
    private var frame: (left: Double, right: Double, top: Double, bottom: Double) { LineChart.frame }
  }
}

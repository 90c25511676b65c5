/// Prometheus' text format, version 0.0.4: for each name a line of help, one with its kind, and a line for each series.
/// https://prometheus.io/docs/instrumenting/exposition_formats/
package enum PrometheusText {
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// Names and labels in order, so that two readings differ in nothing but values.
  static func of(_ families: [String: MetricsRegistry.Family], help: [String: String]) -> String {
    var lines: [String] = []
    for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
      if let text = help[name] { lines.append("# HELP \(name) \(escaped(text, quotes: false))") }
      lines.append("# TYPE \(name) \(family.kind.rawValue)")
      let series = family.series.map { (key: labels($0.key), value: $0.value.value) }
      for (labels, value) in series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
        lines +=
          family.kind == .histogram
          ? histogram(name, labels, value) : ["\(name)\(set(labels)) \(number(value.number))"]
      }
    }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func histogram(_ name: String, _ labels: [String], _ value: Series.Value) -> [String] {
    var lines: [String] = []
    var sum = 0
    for (bound, count) in zip(MetricsRegistry.secondsBuckets, value.buckets) {
      sum += count
      lines.append("\(name)_bucket\(set(labels + ["le=\"\(number(bound))\""])) \(sum)")
    }
    lines.append("\(name)_bucket\(set(labels + ["le=\"+Inf\""])) \(value.count)")
    lines.append("\(name)_sum\(set(labels)) \(number(value.number))")
    lines.append("\(name)_count\(set(labels)) \(value.count)")
    return lines
  }

  private static func labels(_ labels: [Label]) -> [String] {
    labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }
  }

  private static func set(_ labels: [String]) -> String {
    labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
  }

  /// Whole numbers without a point.
  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int64(exactly: value).map(String.init) ?? "\(value)"
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\"" where quotes: escaped += "\\\""
      default: escaped.unicodeScalars.append(character)
      }
    }
    return escaped
  }
}

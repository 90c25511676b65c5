import CoreMetrics
import Testing

@testable import Observability

/// The reference is Prometheus' description of its text format, version 0.0.4:
/// https://prometheus.io/docs/instrumenting/exposition_formats/
@Suite struct PrometheusTextTests {
  @Test func countersGaugesAndTheirLabels() {
    let registry = MetricsRegistry()
    registry.describe("http_requests_total", "The total number of HTTP requests.")
    let labels = [("method", "post"), ("code", "200")]
    Counter(label: "http_requests_total", dimensions: labels, factory: registry).increment(by: 1027)
    Counter(
      label: "http_requests_total", dimensions: [("method", "post"), ("code", "400")], factory: registry
    )
    .increment(by: 3)
    Meter(label: "nl_loss", factory: registry).set(2.5)
    #expect(
      registry.text == """
        # HELP http_requests_total The total number of HTTP requests.
        # TYPE http_requests_total counter
        http_requests_total{method="post",code="200"} 1027
        http_requests_total{method="post",code="400"} 3
        # TYPE nl_loss gauge
        nl_loss 2.5

        """)
  }

  /// The same name and labels are the same series, whoever made it.
  @Test func oneSeriesForOneName() {
    let registry = MetricsRegistry()
    for _ in 0..<3 { Counter(label: "a_total", factory: registry).increment() }
    #expect(registry.text.contains("\na_total 3\n"))
  }

  @Test func whatIsWrittenInLabelsAndHelp() {
    let registry = MetricsRegistry()
    registry.describe("a", "one\\two\nthree \"four\"")
    Meter(
      label: "a", dimensions: [("path", "C:\\DIR\\FILE.TXT"), ("error", "Cannot find file:\n\"FILE.TXT\"")],
      factory: registry
    )
    .set(1.458255915e9)
    #expect(
      registry.text == """
        # HELP a one\\\\two\\nthree "four"
        # TYPE a gauge
        a{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1458255915

        """)
  }

  @Test func numbersThatAreNone() {
    let registry = MetricsRegistry()
    for (name, value) in [("a", Double.nan), ("b", .infinity), ("c", -.infinity), ("d", 0.1)] {
      Meter(label: name, factory: registry).set(value)
    }
    let values = registry.text.split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(values == ["a NaN", "b +Inf", "c -Inf", "d 0.1"])
  }

  /// Buckets are cumulative, an observation at a bound belongs to its bucket, and the last is all of them.
  @Test func histograms() throws {
    let registry = MetricsRegistry()
    let timer = CoreMetrics.Timer(label: "t_seconds", factory: registry)
    for milliseconds: Int64 in [1, 3, 3, 700, 900_000] { timer.recordNanoseconds(milliseconds * 1_000_000) }
    let lines = registry.text.split(separator: "\n").map(String.init)
    #expect(lines[0] == "# TYPE t_seconds histogram")
    func bucket(_ bound: String) -> String? {
      lines.first { $0.hasPrefix("t_seconds_bucket{le=\"\(bound)\"} ") }
    }
    #expect(bucket("0.001") == "t_seconds_bucket{le=\"0.001\"} 1")
    #expect(bucket("0.0025") == "t_seconds_bucket{le=\"0.0025\"} 1")
    #expect(bucket("0.005") == "t_seconds_bucket{le=\"0.005\"} 3")
    #expect(bucket("0.5") == "t_seconds_bucket{le=\"0.5\"} 3")
    #expect(bucket("1") == "t_seconds_bucket{le=\"1\"} 4")
    #expect(bucket("300") == "t_seconds_bucket{le=\"300\"} 4")
    #expect(bucket("+Inf") == "t_seconds_bucket{le=\"+Inf\"} 5")
    #expect(lines.contains("t_seconds_count 5"))
    let sum = try #require(lines.first { $0.hasPrefix("t_seconds_sum ") }?.split(separator: " ").last)
    #expect(abs((Double(sum) ?? 0) - 900.707) < 1e-9)
  }

  /// A slip of the program's costs a number, not the run.
  @Test func aNameOfTwoKindsKeepsTheFirst() {
    let registry = MetricsRegistry()
    Meter(label: "a", factory: registry).set(1)
    Counter(label: "a", factory: registry).increment(by: 5)
    #expect(registry.text == "# TYPE a gauge\na 1\n")
  }

  @Test func whatIsLookedUpWhenSomebodyAsks() {
    let registry = MetricsRegistry()
    ProcessMetrics.collect(into: registry)
    let lines = registry.text.split(separator: "\n")
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"] {
      let value = lines.first { $0.hasPrefix(name + " ") }?.split(separator: " ").last.flatMap { Double($0) }
      #expect((value ?? 0) > 0, "\(name)")
    }
  }
}

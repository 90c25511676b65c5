import CoreMetrics
import Foundation

/// What a program counts and measures about itself: a backend of swift-metrics that keeps the newest values, for a
/// Prometheus server to fetch. Whoever records holds the usual `Counter`, `Meter` and `Timer`:
///
///     let registry = MetricsRegistry()
///     registry.describe("nl_steps_total", "Steps that were committed.")
///     Counter(label: "nl_steps_total", factory: registry).increment()
///     registry.text   // # HELP nl_steps_total Steps that were committed. …
///
/// Names are Prometheus' own: base units, `_total` for what only grows.
public final class MetricsRegistry: MetricsFactory, @unchecked Sendable {
  /// What Prometheus calls the kinds of a metric.
  enum Kind: String { case counter, gauge, histogram }

  /// All series of one name.
  struct Family {
    let kind: Kind
    var series: [[Label]: Series] = [:]
  }

  /// Upper bounds of a histogram's buckets, in seconds: from a small commit to a large step.
  public static let secondsBuckets = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
  ]

  private let lock = NSLock()
  private var families: [String: Family] = [:]
  private var help: [String: String] = [:]
  private var collectors: [@Sendable () -> Void] = []

  public init() {}

  /// What a name stands for, with its unit.
  public func describe(_ name: String, _ text: String) { lock.withLock { help[name] = text } }

  /// Something to be done before values are read, as for what is only looked up when somebody asks.
  public func beforeReading(_ collect: @escaping @Sendable () -> Void) {
    lock.withLock { collectors.append(collect) }
  }

  /// Everything in Prometheus' text format, version 0.0.4.
  public var text: String {
    for collect in lock.withLock({ collectors }) { collect() }
    let (families, help) = lock.withLock { (self.families, self.help) }
    return PrometheusText.of(families, help: help)
  }

  /// The series of a name and its labels, made at the first call. One whose name is taken by another kind is kept by
  /// its holder alone: a program's slip is to cost a number, not the run.
  private func series(_ name: String, _ labels: [(String, String)], _ kind: Kind) -> Series {
    let labels = labels.map(Label.init)
    return lock.withLock {
      if let family = families[name] {
        guard family.kind == kind else { return Series(kind) }
        if let known = family.series[labels] { return known }
      }
      let new = Series(kind)
      families[name, default: Family(kind: kind)].series[labels] = new
      return new
    }
  }

  // MARK: - MetricsFactory

  public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    series(label, dimensions, .counter)
  }

  public func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    series(label, dimensions, .counter)
  }

  public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    series(label, dimensions, .gauge)
  }

  public func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    series(label, dimensions, aggregate ? .histogram : .gauge)
  }

  public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    series(label, dimensions, .histogram)
  }

  public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
  public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
  public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
  public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

  private func remove(_ handler: AnyObject) {
    lock.withLock {
      for (name, family) in families {
        let rest = family.series.filter { $0.value !== handler }
        families[name] = rest.isEmpty ? nil : Family(kind: family.kind, series: rest)
      }
    }
  }
}

/// One name and value of a series.
struct Label: Hashable {
  let name: String
  let value: String

  init(_ pair: (String, String)) { (name, value) = pair }
}

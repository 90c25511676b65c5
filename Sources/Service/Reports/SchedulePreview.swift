import JSON
import NestedLearning

/// The learning rate of each step of a run, drawn from its config alone: neither model nor data are read.
///
/// What evaluations will do is not known, so `plateau` is drawn as if the rate never fell.
public struct SchedulePreview: Sendable {
  public let config: NestedLearningConfig
  /// One number a step, from step 1.
  public let rates: [Double]

  /// More steps are none that anybody looks at.
  private static let mostSteps = 10_000_000
  private static let (chartWidth, chartHeight) = (64, 12)

  /// - Throws: `ServiceError` for a run that is too long to be drawn.
  public init(config: NestedLearningConfig) throws {
    guard config.numSteps <= Self.mostSteps else {
      throw ServiceError(
        "num_steps is \(config.numSteps), and at most \(Self.mostSteps) rates are drawn", remedy: "give fewer"
      )
    }
    self.config = config
    let schedule = LearningRateSchedule(config: config)
    rates = (1...config.numSteps).map { schedule.rate(at: $0) }
  }

  /// The config of nothing but schedule keys.
  ///
  /// - Throws: `ConfigError` for a value that cannot be.
  public static func config(_ values: [(key: String, value: JSONValue)]) throws -> NestedLearningConfig {
    try NestedLearningConfig(
      object: ["base_model_path": "none", "train_data_path": "none"], file: "schedule", overrides: values)
  }

  public var json: JSONValue {
    [
      "lr_schedule": .string(config.lrSchedule.rawValue), "num_steps": .number(config.numSteps),
      "warmup_steps": .number(config.warmupSteps), "learning_rate": .array(rates.map { .number($0) }),
    ]
  }

  /// At most so many of the steps, the first and the last among them, each with its rate.
  public func points(atMost count: Int) -> [(step: Int, rate: Double)] {
    guard rates.count > count, count > 1 else { return rates.enumerated().map { ($0 + 1, $1) } }
    return (0..<count).map { place in
      let index = place * (rates.count - 1) / (count - 1)
      return (index + 1, rates[index])
    }
  }

  /// A drawing for a terminal, with the rates of the steps that matter below it.
  public var text: String { chart + "\n" + table }

  private var chart: String {
    let highest = rates.max() ?? 0
    let columns = points(atMost: Self.chartWidth)
    let label = "\(Float(highest))"
    let rows = (0..<Self.chartHeight).map { row -> String in
      let level = highest * Double(Self.chartHeight - row) / Double(Self.chartHeight)
      let step = highest / Double(Self.chartHeight)
      let bars = columns.map { point in
        highest > 0 && point.rate > level - step / 2
          ? "█" : highest > 0 && point.rate > level - step ? "▄" : " "
      }
      let head = row == 0 ? label : row == Self.chartHeight - 1 ? "0" : ""
      return String(repeating: " ", count: max(0, label.count - head.count)) + head + " │" + bars.joined()
    }
    let indent = String(repeating: " ", count: label.count + 1)
    let last = "\(rates.count)"
    let gap = String(repeating: " ", count: max(1, columns.count - 1 - last.count))
    return (rows + [indent + "└" + String(repeating: "─", count: columns.count), indent + " 1" + gap + last])
      .joined(separator: "\n")
  }

  private var table: String {
    let (warmup, count) = (config.warmupSteps, rates.count)
    let marks = [1, warmup, (warmup + count) / 2, count].filter { (1...count).contains($0) }
    let steps = Array(Set(marks)).sorted()
    let lines = steps.map { "step \($0): \(rates[$0 - 1])" }
    let note = config.lrSchedule == .plateau ? ["as if no evaluation ever lowered it"] : []
    return (["\(config.lrSchedule.rawValue), \(warmup) warm-up steps"] + lines + note).joined(separator: "\n")
  }
}

import Files
import Foundation
import JSON
import NestedLearning

/// What the runs of a sweep came to, side by side: as a table, as JSON and as an HTML page.
public struct SweepReport {
  private struct Row {
    let run: Sweep.Run
    /// `not begun`, or as the ledger says.
    let state: String
    let steps: Int
    let loss: Double?
    let best: (loss: Double, step: Int)?
    let last: Double?
    let seconds: Double
    let losses: [(x: Double, y: Double)]
    let evaluations: [(x: Double, y: Double)]
  }

  private let sweep: Sweep
  /// The lowest validation loss first; those without one last, in the order of the grid.
  private let rows: [Row]

  public init(_ sweep: Sweep) throws {
    self.sweep = sweep
    let rows = try sweep.runs.map(Self.row)
    self.rows = rows.enumerated().sorted { a, b in
      let (x, y) = (a.element.best?.loss ?? .infinity, b.element.best?.loss ?? .infinity)
      return x == y ? a.offset < b.offset : x < y
    }.map(\.element)
  }

  private static func row(_ run: Sweep.Run) throws -> Row {
    guard RecordedRun.isOne(run.folder) else {
      return Row(
        run: run, state: "not begun", steps: 0, loss: nil, best: nil, last: nil, seconds: 0, losses: [],
        evaluations: [])
    }
    let recorded = try RecordedRun(folder: run.folder)
    let steps = try StepCurves(recorded.ledger, tierCount: 0)
    let evaluations = try recorded.ledger.evaluations()
    return Row(
      run: run, state: recorded.status.state, steps: recorded.status.lastStep,
      loss: steps.loss.last?.y,
      best: evaluations.min { $0.loss < $1.loss }.map { ($0.loss, $0.step) },
      last: evaluations.last?.loss, seconds: try recorded.ledger.total(ofMetric: "step_time"),
      losses: steps.loss,
      evaluations: evaluations.map { (Double($0.step), $0.loss) })
  }

  /// Writes `sweep.html` and `sweep.json` into the sweep's folder.
  public func write() throws {
    try FileSystem.makeFolders(sweep.folder)
    try AtomicFile.write(Array(html.utf8), to: sweep.folder + "/sweep.html")
    try AtomicFile.write(json.bytes(indent: 2), to: sweep.folder + "/sweep.json")
  }

  private var columns: [TextTable.Column] {
    sweep.grid.axes.map { .init(title: $0.key, isNumber: $0.values.allSatisfy { $0.double != nil }) } + [
      .init(title: "State"), .init(title: "Steps", isNumber: true), .init(title: "Best loss", isNumber: true),
      .init(title: "at step", isNumber: true), .init(title: "Last loss", isNumber: true),
      .init(title: "Training loss", isNumber: true), .init(title: "Time", isNumber: true),
    ]
  }

  private var cells: [[String]] {
    func number(_ value: Double?) -> String { value.map { ProgressLine.decimal($0, places: 4) } ?? "–" }
    return rows.map { row in
      row.run.values.map { $0.value.string ?? $0.value.text } + [
        row.state, "\(row.steps)", number(row.best?.loss), row.best.map { "\($0.step)" } ?? "–",
        number(row.last),
        number(row.loss), ProgressLine.duration(row.seconds),
      ]
    }
  }

  /// What a run differs in from the others, for a reader.
  private static func name(of run: Sweep.Run) -> String {
    run.values.map { "\($0.key) \($0.value.string ?? $0.value.text)" }.joined(separator: " · ")
  }

  /// For a terminal; the best run first.
  public var text: String {
    var table = TextTable(columns)
    for row in cells { table.add(row) }
    return table.text
  }

  public var json: JSONValue {
    .array(
      rows.map { row in
        [
          "values": .object(JSONObject(row.run.values.map { .init(key: $0.key, value: $0.value) })),
          "folder": .string(row.run.folder), "state": .string(row.state), "steps": .number(row.steps),
          "best_val_loss": row.best.map { .number($0.loss) } ?? .null,
          "best_step": row.best.map { .number($0.step) } ?? .null,
          "last_val_loss": row.last.map { .number($0) } ?? .null,
          "loss": row.loss.map { .number($0) } ?? .null, "seconds": .number(row.seconds),
        ]
      })
  }

  private var html: String {
    var page = HTMLPage(title: "\(FileSystem.name(of: sweep.folder)) · nested learning")
    // The best runs only: more curves than colours could not be told apart.
    let shown = rows.prefix(LineChart.colorCount)
    func series(_ points: (Row) -> [(x: Double, y: Double)], hasDots: Bool = false) -> [LineChart.Series] {
      shown.map { row in
        .init(name: Self.name(of: row.run), points: points(row), hasDots: hasDots)
      }
    }
    let charts = [
      LineChart(title: "Validation loss", series: series(\.evaluations, hasDots: true)),
      LineChart(
        title: "Training loss, mean of the last twentieth", series: series { LineChart.smoothed($0.losses) }),
    ]
    page.sections = [
      "<h1>\(HTMLPage.escaped(FileSystem.name(of: sweep.folder)))</h1>",
      HTMLPage.paragraph(
        "\(rows.count) runs in \(sweep.folder), the lowest validation loss first.", kind: "faint"),
      HTMLPage.table(columns, cells),
      HTMLPage.section(
        "Curves", "<div class=\"charts\">\(charts.map(\.html).joined(separator: "\n"))</div>",
        HTMLPage.paragraph(
          rows.count > shown.count ? "The \(shown.count) best runs. Across: steps." : "Across: steps.",
          kind: "faint")),
    ]
    return page.text
  }
}

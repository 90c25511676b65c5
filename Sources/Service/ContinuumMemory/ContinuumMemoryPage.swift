import Files
import JSON
import LanguageModel
import NestedLearning

/// The demonstration as one HTML page, with the notebook's figures.
public struct ContinuumMemoryPage {
  private let demo: ContinuumMemoryDemo
  private var plan: ContinuumMemoryPlan { demo.plan }

  public init(_ demo: ContinuumMemoryDemo) { self.demo = demo }

  /// Writes the page, whole or not at all.
  public func write(to path: String) throws { try AtomicFile.write(Array(html.utf8), to: path) }

  public var html: String {
    var page = HTMLPage(title: "Continuum memory system · nested learning")
    page.sections = [heading, levels, updates, curves]
    return page.text
  }

  private var heading: String {
    let losses = points { $0["loss"]?.double }
    let facts: [(name: String, value: String)] = [
      (
        "Levels",
        "\(plan.shape.levels.count) of \(plan.shape.width) → \(plan.shape.inner) → \(plan.shape.width)"
      ),
      ("Steps", "\(demo.steps.count) of \(plan.config.numSteps)"),
      ("A step", "\(plan.batch) × \(plan.sequence) vectors"),
      ("Base rate", "\(plan.config.learningRate)"), ("Seed", "\(plan.config.seed)"),
      ("Loss, first and last", "\(text(losses.first?.y)) → \(text(losses.last?.y))"),
    ]
    return "<h1>Continuum memory system</h1>\n"
      + HTMLPage.paragraph(
        "Levels one after the other, each with an Adam of its own; a level sums its gradients until it updates. They learn to give back the vectors that they are given."
      ) + HTMLPage.facts(facts)
  }

  private func text(_ value: Double?) -> String { value.map { LineChart.label($0) } ?? "–" }

  private var levels: String {
    let columns: [TextTable.Column] = [
      .init(title: "Level"), .init(title: "Chunk", isNumber: true), .init(title: "Updates", isNumber: true),
      .init(title: "Expected", isNumber: true), .init(title: "Last at step", isNumber: true),
      .init(title: "Steps since", isNumber: true), .init(title: "Learning rate", isNumber: true),
      .init(title: "Effective batch", isNumber: true), .init(title: "Check"),
    ]
    let rows = demo.levels.map { level in
      [
        level.name, "\(level.chunkSize)", "\(level.updateCount)", "\(level.expectedUpdates)",
        "\(level.lastUpdateStep)", "\(level.stepsSinceUpdate)", LineChart.label(level.learningRate),
        "\(level.effectiveBatch)", level.isAsExpected ? "as expected" : "wrong",
      ]
    }
    return HTMLPage.section("Levels", HTMLPage.table(columns, rows))
  }

  private var updates: String {
    HTMLPage.section(
      "When each level updates",
      UpdateMarks(
        tiers: plan.scheduler.tiers, steps: plan.config.numSteps, names: plan.shape.levels.map(\.name)
      )
      .html)
  }

  private var curves: String {
    let names = plan.shape.levels.map(\.name)
    let rates = names.enumerated().map { number, name in
      LineChart.Series(
        name: name, points: points { $0["tier_learning_rates"]?.array.flatMap { $0[number].double } })
    }
    let batches = demo.levels.map { level in
      LineChart.Series(
        name: level.name,
        points: demo.steps.map {
          (Double($0.step), Double(plan.batch * (($0.step - 1) % level.chunkSize + 1)))
        })
    }
    let charts = [
      LineChart(title: "Loss", series: [.init(name: "loss", points: points { $0["loss"]?.double })]),
      LineChart(title: "Learning rate", series: rates, isLogarithmic: true),
      LineChart(title: "Rows in a level's summed gradient", series: batches, isLogarithmic: true),
      LineChart(
        title: "Norm of each level's summed gradient; dots: updates", series: norms, isLogarithmic: true),
    ]
    return HTMLPage.section(
      "Curves", "<div class=\"charts\">\(charts.map(\.html).joined(separator: "\n"))</div>",
      HTMLPage.paragraph(
        "Across: steps. Sums of levels that do not update at a step are looked at every \(plan.config.flushEvery) steps.",
        kind: "faint"))
  }

  /// The sums as far as they are known, and where a level was updated with them.
  private var norms: [LineChart.Series] {
    plan.shape.levels.enumerated().flatMap { number, level -> [LineChart.Series] in
      let isActive = plan.scheduler.tiers[number].isActive
      let sums = demo.steps.compactMap { step, row -> (x: Double, y: Double)? in
        let list = isActive(step) ? row["tier_grad_norms"]?.array : row["window_norms"]?.array
        return list.flatMap { $0[number].double }.map { (Double(step), $0) }
      }
      let line = LineChart.Series(name: level.name, points: sums, color: number)
      guard level.chunk > 1 else { return [line] }
      let dots = LineChart.Series(
        name: "\(level.name), update", points: sums.filter { isActive(Int($0.x)) },
        hasDots: true, hasLine: false, color: number)
      return [line, dots]
    }
  }

  private func points(_ value: (JSONValue) -> Double?) -> [(x: Double, y: Double)] {
    demo.steps.compactMap { step, row in value(row).map { (Double(step), $0) } }
  }
}

import Files
import Foundation
import JSON
import Ledger
import NestedLearning

/// A run as one HTML page: curves, tiers, who computed what, faults and config, from its ledger. It needs nothing beside
/// itself, and the run may be at work meanwhile.
public struct RunReport {
  private let run: RecordedRun
  private let steps: StepCurves
  private let evaluations: [EvaluationRecord]
  private let tiers: [TierVersionRecord]
  private let shares: [WorkShare]
  private let returns: [ReturnRecord]
  private let quarantined: [QuarantineRecord]
  private let checkpoints: [CheckpointRecord]
  private let stepSeconds: Double

  /// - Throws: `RunFolderError` or `LedgerError` if that is no run, or its ledger cannot be read.
  public init(folder: String) throws {
    run = try RecordedRun(folder: folder)
    steps = try StepCurves(run.ledger, tierCount: run.tiers.count)
    evaluations = try run.ledger.evaluations()
    tiers = try run.ledger.tiers()
    shares = try run.ledger.workShares()
    returns = try run.ledger.returns()
    quarantined = try run.ledger.quarantined()
    checkpoints = try run.ledger.checkpoints()
    stepSeconds = try run.ledger.total(ofMetric: "step_time")
  }

  /// The file in the run's folder that a report goes to unless another is named.
  public static func file(in folder: String) -> String { folder + "/report.html" }

  /// Writes the page, whole or not at all.
  public func write(to path: String) throws { try AtomicFile.write(Array(html.utf8), to: path) }

  public var html: String {
    var page = HTMLPage(title: "\(run.config.experimentName) · nested learning")
    page.sections = [heading, curves, tierSection, work, faults, checkpointSection, configuration]
    return page.text
  }

  // MARK: - Sections

  private var heading: String {
    let state = run.status.state + (run.status.reason.map { ": \($0)" } ?? "")
    let best = evaluations.min { $0.loss < $1.loss }
    let last = evaluations.last
    var facts: [(name: String, value: String)] = [
      ("State", state), ("Steps", "\(run.status.lastStep) of \(run.config.numSteps)"),
      ("Loss, first and last", "\(decimal(steps.loss.first?.y)) → \(decimal(steps.loss.last?.y))"),
    ]
    if let best, let last {
      facts.append(("Best evaluation", "\(decimal(best.loss)) after step \(best.step)"))
      facts.append(("Last evaluation", "\(decimal(last.loss)), perplexity \(decimal(last.perplexity))"))
    }
    facts += [
      ("Time of the steps", ProgressLine.duration(stepSeconds)),
      ("Trained tokens", "\(steps.tokens)"),
      ("Base model", run.config.baseModelPath),
      ("Begun", run.status.run.createdAt.text.prefix(16).replacing("T", with: " ") + " UTC"),
      ("Program", run.status.run.program), ("Preset", run.config.preset ?? "none"), ("Folder", run.folder),
    ]
    let warnings = run.tiers.movementWarnings(numSteps: run.config.numSteps)
    return "<h1>\(HTMLPage.escaped(run.config.experimentName))</h1>\n"
      + warnings.map { HTMLPage.paragraph($0, kind: "warn") }.joined(separator: "\n") + HTMLPage.facts(facts)
  }

  private var curves: String {
    let loss = steps.loss
    let charts = [
      LineChart(
        title: "Loss",
        series: [
          .init(name: "each step", points: loss, isFaint: true, color: 0),
          .init(name: "mean of the last twentieth", points: LineChart.smoothed(loss), color: 0),
          .init(
            name: "evaluation", points: evaluations.map { (Double($0.step), $0.loss) }, hasDots: true,
            color: 1),
        ]),
      LineChart(title: "Learning rate", series: rates),
      LineChart(
        title: "Gradient norm at each update, before clipping", series: byTier(steps.gradientNorms),
        isLogarithmic: true),
      LineChart(
        title: "Seconds a step", series: [.init(name: "seconds", points: steps.seconds)], isLogarithmic: true),
    ]
    let drawn = (charts + difficulty).map(\.html).joined(separator: "\n")
    return HTMLPage.section(
      "Curves", "<div class=\"charts\">\(drawn)</div>",
      HTMLPage.paragraph("Across: steps. Long curves show means of neighbouring steps.", kind: "faint"))
  }

  private var difficulty: [LineChart] {
    guard !steps.difficulty.isEmpty else { return [] }
    return [
      LineChart(
        title: "Difficulty of the rows",
        series: [
          .init(name: "mean of a step", points: steps.difficulty, color: 0),
          .init(name: "allowed", points: steps.threshold, color: 1),
        ])
    ]
  }

  private var tierSection: String {
    let rows = run.tiers.map { tier -> [String] in
      let recorded = tiers.first { $0.tier == tier.index }
      return [
        "\(tier.index)", tier.clockText, "\(recorded?.version ?? 0)",
        "\(tier.updates(in: run.config.numSteps))",
        "\(tier.parameterCount)", TierTable.kinds(Self.modules(tier)),
        recorded.map { String($0.digest.prefix(16)) } ?? "",
      ]
    }
    return HTMLPage.section(
      "Tiers",
      HTMLPage.paragraph(
        run.config.tierMode == .consolidate
          ? "Copies of all parameters: the first learns at each step, the others follow."
          : "By \(run.config.tierAssignmentStrategy.rawValue); gradients between updates: \(run.config.inactiveGradients.rawValue)."
      ),
      HTMLPage.table(
        [
          .init(title: "Tier", isNumber: true), .init(title: "Updated"),
          .init(title: "Updates so far", isNumber: true),
          .init(title: "In the whole run", isNumber: true), .init(title: "Parameters", isNumber: true),
          .init(title: "Modules"), .init(title: "Digest"),
        ], rows),
      UpdateMarks(tiers: run.tiers, steps: min(run.config.numSteps, 64)).html)
  }

  private static func modules(_ tier: Tier) -> [String] {
    Set(tier.parameters.map { $0.split(separator: ".").dropLast().joined(separator: ".") }).sortedByBytes()
  }

  private var work: String {
    let rows = shares.map { share -> [String] in
      let counted = share.outcomes.filter { $0.outcome == "committed" || $0.outcome == "verified" }
      return [
        "\(share.worker.term)", "\(share.worker.id)", share.worker.host, "\(share.worker.pid)",
        "\(share.worker.threads)", share.worker.isa, "\(counted.reduce(0) { $0 + $1.shards })",
        decimal(counted.reduce(0) { $0 + $1.seconds }), share.worker.joinedAt.text, share.leftReason ?? "",
      ]
    }
    return HTMLPage.section(
      "Who computed what",
      HTMLPage.table(
        [
          .init(title: "Term", isNumber: true), .init(title: "Worker", isNumber: true), .init(title: "Host"),
          .init(title: "Process", isNumber: true), .init(title: "Threads", isNumber: true),
          .init(title: "ISA"),
          .init(title: "Shards", isNumber: true), .init(title: "Seconds", isNumber: true),
          .init(title: "Joined"),
          .init(title: "Left"),
        ], rows),
      HTMLPage.paragraph(
        "Shards whose results were counted or compared; a coordinator that starts again begins a new term.",
        kind: "faint"))
  }

  private var faults: String {
    let outcomes = shares.flatMap(\.outcomes).filter { $0.outcome != "committed" && $0.outcome != "verified" }
    let counts = Dictionary(outcomes.map { ("\($0.purpose), \($0.outcome)", $0.shards) }, uniquingKeysWith: +)
    var lines: [String] = []
    for name in counts.keys.sortedByBytes() {
      lines.append("\(Self.counted(counts[name] ?? 0, "hand-out")) ended otherwise: \(name).")
    }
    let terms = run.status.term
    if terms > 1 { lines.append("The coordinator was started \(terms) times.") }
    for record in returns {
      lines.append(
        "Went back from step \(record.fromStep) to step \(record.toStep) (\(record.reason.rawValue)): \(record.voidedSteps) "
          + "steps became void.")
    }
    for record in quarantined { lines.append("\(record.identity) is in quarantine: \(record.reason).") }
    if lines.isEmpty { lines = ["None: every hand-out came to a result that was counted."] }
    return HTMLPage.section("Faults", lines.map { HTMLPage.paragraph($0) }.joined(separator: "\n"))
  }

  private static func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  private var checkpointSection: String {
    HTMLPage.section(
      "Checkpoints",
      HTMLPage.table(
        [
          .init(title: "Folder"), .init(title: "Step", isNumber: true),
          .init(title: "Best loss", isNumber: true),
        ],
        checkpoints.map { [$0.path, "\($0.step)", $0.bestValidationLoss.map { decimal($0) } ?? ""] }))
  }

  private var configuration: String {
    let standard = Dictionary(
      uniqueKeysWithValues: NestedLearningConfig.keys.map { ($0.name, $0.defaultValue) })
    func shown(_ value: JSONValue) -> String { value.string ?? value.text }
    let members = run.config.json().object?.members ?? []
    let isUsual: (JSONObject.Member) -> Bool = { standard[$0.key] == $0.value }
    let columns: [TextTable.Column] = [.init(title: "Key"), .init(title: "Value")]
    let others = members.filter(isUsual).map { [$0.key, shown($0.value)] }
    return HTMLPage.section(
      "Config",
      HTMLPage.table(columns, members.filter { !isUsual($0) }.map { [$0.key, shown($0.value)] }),
      "<details><summary>\(others.count) keys at their defaults</summary>\(HTMLPage.table(columns, others))</details>",
      HTMLPage.paragraph("SHA-256 of what the run was started from:", kind: "faint"),
      HTMLPage.table([.init(title: "Input"), .init(title: "SHA-256")], inputs))
  }

  private var inputs: [[String]] {
    (run.status.run.configuration["inputs_sha256"]?.object?.members ?? []).compactMap { member in
      member.value.string.map { [member.key.replacing("_", with: " "), $0] }
    }
  }

  // MARK: - Numbers

  /// A curve for each tier, as far as there are colours.
  private func byTier(_ points: [StepCurves.Points]) -> [LineChart.Series] {
    points.prefix(LineChart.colorCount).enumerated().map { .init(name: "tier \($0)", points: $1) }
  }

  /// One curve where all tiers have the same rate.
  private var rates: [LineChart.Series] {
    let rates = byTier(steps.rates)
    let first = rates.first?.points.map(\.y) ?? []
    guard rates.allSatisfy({ $0.points.map(\.y) == first }), let one = rates.first else { return rates }
    return [.init(name: "all tiers", points: one.points)]
  }

  private func decimal(_ value: Double?) -> String { value.map { LineChart.label($0) } ?? "–" }
}

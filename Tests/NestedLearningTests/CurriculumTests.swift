import Testing

@testable import NestedLearning

/// Curricula against tables that Python's own arithmetic gives; the snippet stands above its numbers.
@Suite struct CurriculumTests {
  private func expectClose(
    _ ours: [Double], _ expected: [Double], _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(ours.count == expected.count, sourceLocation: location)
    for (ours, expected) in zip(ours, expected) {
      #expect(abs(ours - expected) <= 2e-16 * max(1, expected.magnitude), sourceLocation: location)
    }
  }

  /// ```python
  /// from fractions import Fraction as F
  /// [float(min(F(9,10), max(F(3,10), F(3,10) + F(6,10)*F(t - 4, 10)))) for t in (0, 3, 4, 5, 9, 14, 15, 30)]
  /// ```
  @Test func progressiveDifficulty() throws {
    let curriculum = try ProgressiveDifficulty(initial: 0.3, final: 0.9, steps: 10, warmup: 4)
    expectClose(
      [0, 3, 4, 5, 9, 14, 15, 30].map { curriculum.threshold(at: $0) },
      [0.3, 0.3, 0.3, 0.36, 0.6, 0.9, 0.9, 0.9])
  }

  /// An earlier implementation fell below where it began, and below zero, when its warm-up was longer than its steps.
  @Test func noThresholdIsBelowItsStart() throws {
    for (warmup, steps) in [(0, 1), (10, 4), (1000, 10), (7, 7)] {
      let all: [any CurriculumStrategy] = [
        try ProgressiveDifficulty(initial: 0.2, final: 0.8, steps: steps, warmup: warmup),
        try CompetencePacing(.linear, initial: 0.2, steps: steps, warmup: warmup),
        try CompetencePacing(.sqrt, initial: 0.2, steps: steps, warmup: warmup),
      ]
      for curriculum in all {
        let thresholds = (0...1200).map { curriculum.threshold(at: $0) }
        #expect(thresholds[0] == 0.2 && thresholds.allSatisfy { $0 >= 0.2 && $0 <= 1 })
        #expect(zip(thresholds, thresholds.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(thresholds[1200] == (curriculum is ProgressiveDifficulty ? 0.8 : 1))
      }
    }
    let error = #expect(throws: CurriculumError.self) {
      try ProgressiveDifficulty(initial: 0.5, final: 0.4, steps: 3)
    }
    #expect(error?.name == "final" && error?.description.contains("0.5") == true)
    #expect(throws: CurriculumError.self) { try CompetencePacing(.sqrt, initial: -0.1, steps: 3) }
  }

  /// ```python
  /// c0, T = .01, 100
  /// [min(1.0, t*(1 - c0)/T + c0) for t in (0, 1, 10, 50, 99, 100, 500)]
  /// [min(1.0, sqrt(t*(1 - c0**2)/T + c0**2)) for t in (0, 1, 10, 50, 99, 500)]
  /// ```
  /// At T itself the root is one unit short of 1, and every row has to be taken.
  @Test func competenceOfPlatanios() throws {
    let linear = try CompetencePacing(.linear, steps: 100)
    expectClose(
      [0, 1, 10, 50, 99, 100, 500].map { linear.threshold(at: $0) },
      [0.01, 0.0199, 0.109, 0.505, 0.9901000000000001, 1, 1])
    let root = try CompetencePacing(.sqrt, steps: 100)
    expectClose(
      [0, 1, 10, 50, 99, 500].map { root.threshold(at: $0) },
      [
        0.01, 0.10049378090210359, 0.31637003650788426, 0.7071421356417675, 0.9949879396254007, 1,
      ])
    #expect(linear.threshold(at: 100) == 1 && root.threshold(at: 100) == 1)
    #expect(linear.usesRanks && root.usesRanks)
  }

  /// Share of rows that are no more difficult, counted.
  @Test func ranks() {
    let difficulties = [0.5, 0.1, 0.5, 0.9, 0.1, 0.2]
    let counted = difficulties.map { one in
      Double(difficulties.count { $0 <= one }) / Double(difficulties.count)
    }
    #expect(DifficultyScorer.ranks(difficulties) == counted)
    #expect(DifficultyScorer.ranks([]).isEmpty && DifficultyScorer.ranks([3, 3]) == [1, 1])
  }

  /// Rows [1 2 3], [1 1 1 1], [1 2 4 5 6 7], [8 9] and confidences .9, .8, .2, .5:
  /// ```python
  /// c = Counter(x for r in rows for x in r); n = sum(c.values())
  /// rarity = [sum(-log(c[x]/n) for x in r)/len(r) for r in rows]
  /// norm = lambda v: [(x - min(v))/(max(v) - min(v)) for x in v]
  /// [.3*a + .3*b + .4*d for a, b, d in zip(norm(list(map(len, rows))), norm(rarity), norm([1 - x for x in conf]))]
  /// ```
  @Test func difficulty() {
    let rows: [[Int32]] = [[1, 2, 3], [1, 1, 1, 1], [1, 2, 4, 5, 6, 7], [8, 9]]
    var rarity = TokenRarity()
    for row in rows { rarity.add(row) }
    let rarities = rows.map { rarity.rarity(of: $0) }
    expectClose(
      rarities, [1.87974798450621, 0.916290731874155, 2.2938990928042102, 2.70805020110221].map { $0 })
    let lengths = rows.map(\.count)
    let confidences = [0.9, 0.8, 0.2, 0.5]
    expectClose(
      DifficultyScorer().scores(lengths: lengths, rarities: rarities, confidences: confidences),
      [0.23631471927654585, 0.20714285714285713, 0.9306573596382729, 0.5285714285714286])
    expectClose(
      DifficultyScorer(kind: .rarity).scores(lengths: lengths, rarities: rarities, confidences: []),
      [0.5377157309218196, 0, 0.7688578654609098, 1])
    #expect(
      DifficultyScorer(kind: .length).scores(lengths: lengths, rarities: [], confidences: [])
        == [0.25, 0.5, 1, 0])
    // Where all are equal nothing is divided by zero.
    #expect(
      DifficultyScorer(kind: .length).scores(lengths: [5, 5], rarities: [], confidences: []) == [0, 0])
  }

  /// Accuracy, and competence after it, by hand: target .7, δ .05, patience 3.
  @Test func adaptiveCompetence() throws {
    var curriculum = try AdaptiveCompetence(initial: 0.5)
    let table: [(accuracy: Double, competence: Double)] = [
      // Three above .8: + 2δ.
      (0.81, 0.5), (0.9, 0.5), (1, 0.6),
      // All of three agree on δ at least.
      (0.9, 0.6), (0.75, 0.6), (0.85, 0.65),
      // One in between begins anew.
      (0.75, 0.65), (0.75, 0.65), (0.6, 0.65), (0.75, 0.65), (0.75, 0.65), (0.75, 0.7),
      // Below .5: − δ; a turn begins anew.
      (0.4, 0.7), (0.4, 0.7), (0.71, 0.7), (0.4, 0.7), (0.49, 0.7), (0, 0.65),
      // The bounds themselves ask for nothing.
      (0.7, 0.65), (0.7, 0.65), (0.7, 0.65), (0.5, 0.65), (0.5, 0.65), (0.5, 0.65),
    ]
    for (row, (accuracy, competence)) in table.enumerated() {
      curriculum.update(accuracy: accuracy)
      #expect(abs(curriculum.competence - competence) < 1e-12, "row \(row)")
      #expect(curriculum.threshold(at: 0) == curriculum.threshold(at: 1000))
    }
    var quick = try AdaptiveCompetence(initial: 0.9, patience: 1)
    for _ in 0..<5 { quick.update(accuracy: 1) }
    #expect(quick.competence == 1)
    for _ in 0..<50 { quick.update(accuracy: 0) }
    #expect(quick.competence == 0)
  }

  @Test func stages() throws {
    var curriculum = try StagedCurriculum(
      stages: [
        CurriculumStage(range: 0...0.3, target: 0.5, learningRate: 0.1),
        CurriculumStage(range: 0.3...0.7, target: 0.6), CurriculumStage(range: 0.7...1, target: 0.9),
      ], patience: 2)
    var (seen, rates): ([Int], [Double?]) = ([], [])
    for accuracy in [0.5, 0.4, 0.5, 0.5, 0.7, 0.6, 1, 1, 1] {
      curriculum.update(accuracy: accuracy)
      if curriculum.shouldAdvance { curriculum.advance() }
      seen.append(curriculum.stage ?? -1)
      rates.append(curriculum.learningRate)
    }
    #expect(seen == [0, 0, 0, 1, 1, 2, 2, 2, 2] && !curriculum.shouldAdvance)
    #expect(rates[0] == 0.1 && rates[3] == nil)
    #expect(
      curriculum.range(at: 5) == 0.7...1 && curriculum.selectExamples([0.1, 0.7, 0.9], at: 0) == [1, 2])
    #expect(throws: CurriculumError.self) { try StagedCurriculum(stages: []) }
    #expect(throws: CurriculumError.self) {
      try StagedCurriculum(stages: [
        CurriculumStage(range: 0.5...1, target: 0.5), CurriculumStage(range: 0...0.5, target: 0.5),
      ])
    }
  }

  /// The state before a step is that of the evaluations before it, and of no other.
  @Test func evaluationsBeforeAStep() throws {
    let start = try StagedCurriculum()
    let evaluations = [5, 10, 15].map { EvaluatedAccuracy(step: $0, correct: 8, tokens: 10) }
    #expect(
      (1...20).map { start.before(step: $0, evaluations).stage }
        == (1...20).map { ($0 - 1) / 5 }.map { min($0, 2) })
    let any: any CurriculumStrategy = start
    #expect(any.before(step: 6, evaluations).stage == 1)
  }

  @Test func byName() throws {
    var settings = CurriculumSettings(steps: 100)
    #expect(try createCurriculum(name: "progressive", settings: settings).threshold(at: 0) == 0.3)
    #expect(try createCurriculum(name: "competence_linear", settings: settings).threshold(at: 0) == 0.01)
    #expect(try createCurriculum(name: "competence_sqrt", settings: settings).threshold(at: 100) == 1)
    #expect(try createCurriculum(name: "competence", settings: settings).followsEvaluations)
    #expect(try createCurriculum(name: "stages", settings: settings).stage == 0)
    settings.initial = 0.6
    settings.final = 0.5
    for (name, at) in [("progressive", "final"), ("easy", "name"), ("none", "name")] {
      let error = #expect(throws: CurriculumError.self) {
        try createCurriculum(name: name, settings: settings)
      }
      #expect(error?.name == at)
    }
  }
}

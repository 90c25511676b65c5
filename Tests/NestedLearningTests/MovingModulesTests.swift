import JSON
import Testing

@testable import NestedLearning

/// Stages of a curriculum that have modules in other tiers: these move, with their moments and their count of updates, after
/// a step that updates all tiers that lose or gain some.
@Suite struct MovingModulesTests {
  /// Modules of one number each: a and b in tier 0, c in tier 1, d in tier 2.
  static let parameters = ["a", "b", "c", "d"].enumerated().map {
    TrainableParameter(name: "\($1).w", module: $1, layer: $0, count: 1)
  }

  static func config(
    _ stages: [CurriculumStage], _ change: (inout NestedLearningConfig) -> Void = { _ in }
  ) -> NestedLearningConfig {
    NestedLearningTests.config {
      $0.tierAssignmentStrategy = .manual
      $0.manualTierMap = map([("c", 1), ("d", 2)])
      $0.defaultTier = 0
      ($0.curriculumStrategy, $0.curriculumStages, $0.numSteps, $0.evalEvery) = (.stages, stages, 16, 5)
      change(&$0)
    }
  }

  static func map(_ entries: [(String, Int)], isOrdered: Bool = true) -> ManualTierMap {
    ManualTierMap(entries: entries.map { .init(pattern: $0, tier: $1) }, isOrdered: isOrdered)
  }

  static func stage(_ entries: [(String, Int)]? = nil, _ periods: [Int]? = nil) -> CurriculumStage {
    CurriculumStage(target: 0, frequencies: periods, tierMap: entries.map { map($0) })
  }

  private func scheduler(
    _ stages: [CurriculumStage], _ change: (inout NestedLearningConfig) -> Void = { _ in }
  ) throws -> ParameterTierScheduler {
    try ParameterTierScheduler(config: Self.config(stages, change), parameters: Self.parameters)
  }

  private func updates(_ scheduler: ParameterTierScheduler, upTo last: Int = 16) -> [[Int]] {
    scheduler.tiers.map { tier in (1...last).filter(tier.isActive) }
  }

  // MARK: - Who is in which tier

  /// What goes the same way through all stages is one tier; without stages that move anything all is as it was.
  @Test func whatHasTheSameHistoryIsOneTier() throws {
    let moving = try scheduler([Self.stage(), Self.stage([("b", 2)]), Self.stage()])
    #expect(moving.tiers.map(\.parameters) == [["a.w"], ["b.w"], ["c.w"], ["d.w"]])
    #expect(moving.tiers.map(\.configTier) == [0, 0, 1, 2] && moving.movesParameters)
    #expect((0...2).map(moving.configTiers(ofStage:)) == [[0, 0, 1, 2], [0, 2, 1, 2], [0, 0, 1, 2]])
    #expect(moving.stageLines[1] == "Stage 1: tiers 0, 1, 2, 3 as tiers 0, 2, 1, 2")
    let swapped = try scheduler([Self.stage(), Self.stage([("c", 2), ("d", 1)])])
    #expect(
      swapped.tiers.map(\.parameters) == [["a.w", "b.w"], ["c.w"], ["d.w"]] && swapped.movesParameters)
    // The first stage says where they begin.
    let same = try scheduler([Self.stage([("b", 2)]), Self.stage([("b", 2)], [1, 1, 1])])
    #expect(same.tiers.map(\.parameters) == [["a.w"], ["c.w"], ["b.w", "d.w"]])
    #expect(!same.movesParameters && same.configTiers(ofStage: 1) == nil)
    let plain = try ParameterTierScheduler(
      config: Self.config([]) { $0.curriculumStrategy = .none }, parameters: Self.parameters)
    #expect(try scheduler([Self.stage(), Self.stage(nil, [2, 2, 2])]).tiers == plain.tiers)
  }

  @Test func whatCannotBeDividedIsNamed() {
    func failure(_ map: ManualTierMap) -> String {
      let stages = [Self.stage(), CurriculumStage(target: 0, tierMap: map)]
      do { _ = try scheduler(stages) } catch { return "\(error)" }
      return "no error"
    }
    #expect(
      failure(Self.map([("c", 0)]))
        == "tier 1 of 3 has no parameters by the tier_map of stage 1 (curriculum_stages); "
        + "let a pattern of it lead to it, or lower num_tiers")
    #expect(
      failure(Self.map([("e*", 1)]))
        == #"the pattern "e*" of the tier_map of stage 1 (curriculum_stages) matches no module; "#
        + "patterns are of whole names, as in *.q_proj; the first one is a")
    #expect(
      failure(Self.map([("a", 1), ("*", 0)], isOrdered: false))
        == #"a matches both "a" and "*" of the tier_map of stage 1, whose members have no order; "#
        + "write the tier_map of stage 1 as a list of {pattern, tier}, in which the first match wins")
    #expect(
      failure(Self.map([("a", 3)])).hasPrefix(#""a" of the tier_map of stage 1 would go to tier 3 of 3"#))
  }

  /// Bit s of a module's number says whether stage s has it in tier 1: 1100 histories.
  @Test func thereAreNotTooManyTiers() {
    let bits = Array("abcdefghijk").enumerated()
    let modules = (0..<1100).map { number in bits.map { "\(number >> $0 & 1)\($1)" }.joined() }
    let config = Self.config(bits.map { Self.stage([("*1\($1)*", 1)]) }) {
      ($0.numTiers, $0.tierUpdateFrequencies, $0.manualTierMap) = (2, [1, 2], Self.map([("*", 0)]))
    }
    let error = #expect(throws: TierError.self) {
      _ = try ParameterTierScheduler(
        config: config,
        parameters: modules.map { TrainableParameter(name: $0 + ".w", module: $0, layer: 0, count: 1) })
    }
    #expect(error?.reason == "parameters have 1100 histories, and there can be 1024 tiers")
  }

  // MARK: - When they move

  /// Periods 1, 2, 4. From step 6 on b is to be in tier 2, with periods 1, 2, 3: tiers 0 and 2 are both updated by step 8.
  /// From step 12 on all is to be as it was: both are updated by step 11.
  private static let there = PlanChange(firstStep: 6, frequencies: [1, 2, 3], configTiers: [0, 2, 1, 2])
  private static let back = PlanChange(firstStep: 12, frequencies: [1, 2, 4], configTiers: [0, 0, 1, 2])
  private static let stages = [stage(), stage([("b", 2)], [1, 2, 3]), stage()]

  @Test func afterABoundaryInCommon() throws {
    var moving = try scheduler(Self.stages)
    moving.follow(Self.there)
    #expect(
      updates(moving) == [
        Array(1...16), Array(1...8) + [11, 14], [2, 4, 6, 8, 10, 12, 14, 16], [4, 8, 11, 14],
      ])
    #expect(
      moving.periodsText == "tier 0 every step as tier 0, tier 1 every 3 steps as tier 2 after step 8, "
        + "tier 2 every 2 steps as tier 1, tier 3 every 3 steps as tier 2 after step 8")
    moving.follow(Self.back)
    #expect(
      updates(moving) == [
        Array(1...16), Array(1...8) + Array(11...16), [2, 4, 6, 8, 10, 12, 14, 16], [4, 8, 11, 15],
      ])
    #expect([8, 9, 11, 12].map { moving.tiers[1].configTier(at: $0) } == [0, 2, 2, 0])
    #expect(
      moving.tiers[1].clockText
        == "every step as tier 0, every 3 steps as tier 2 after step 8, every step as tier 0 after step 11")
    #expect(moving.tiers[0].clockText == "every step" && moving.tiers.arePartsOfOthers)
  }

  /// Tiers with periods 3 and 4 meet at 12, and one that is not concerned does not wait for them.
  @Test func whoIsNotConcernedDoesNotWait() throws {
    var moving = try scheduler([Self.stage(), Self.stage([("c", 2), ("d", 1)])]) {
      $0.tierUpdateFrequencies = [2, 3, 4]
    }
    moving.follow(PlanChange(firstStep: 6, frequencies: [1, 3, 5], configTiers: [0, 2, 1]))
    #expect(
      updates(moving, upTo: 20) == [[2, 4] + Array(6...20), [3, 6, 9, 12, 17], [4, 8, 12, 15, 18]])
  }

  /// A plan that waits is replaced by the next one, and never comes.
  @Test func whatWaitsIsReplaced() throws {
    let first = try scheduler(Self.stages)
    var moving = first
    moving.follow(Self.there)
    moving.follow(PlanChange(firstStep: 7, frequencies: [1, 2, 4], configTiers: [0, 0, 1, 2]))
    #expect(moving.tiers == first.tiers)
    moving.follow(Self.there)
    moving.follow(PlanChange(firstStep: 9, frequencies: [1, 2, 4], configTiers: [0, 0, 1, 2]))
    #expect(moving.tiers == first.tiers, "step 9 would have been its first")
    // The same again changes nothing.
    var again = first
    again.follow(Self.there)
    moving = again
    again.follow(PlanChange(firstStep: 7, frequencies: [1, 2, 3], configTiers: [0, 2, 1, 2]))
    #expect(again.tiers == moving.tiers)
  }

  /// Tiers that no step updates together, or none before the last, stay as they are, with their periods; that is told before
  /// training.
  @Test func neverInCommon() throws {
    func stages(_ periods: [Int]?) -> [CurriculumStage] {
      [Self.stage(), Self.stage([("c", 2), ("d", 1)], periods), Self.stage([("c", 2), ("d", 1)], periods)]
    }
    func scheduler(_ config: NestedLearningConfig) throws -> ParameterTierScheduler {
      try ParameterTierScheduler(config: config, parameters: Self.parameters)
    }
    let apart = Self.config(stages([2, 2, 2])) {
      ($0.tierUpdateFrequencies, $0.tierPhase) = ([2, 2, 4], .list([0, 1, 0]))
    }
    var moving = try scheduler(apart)
    let warning =
      "stage 1 of curriculum_stages moves nothing: no step from 5 on, where it begins at the earliest, and before the "
      + "last of 16 updates all of tiers 1, 2; choose periods and a tier_phase by which they meet"
    #expect(moving.moveWarnings(apart) == [warning])
    let change = PlanChange(firstStep: 6, frequencies: [1, 2, 2], configTiers: [0, 2, 1])
    moving.follow(change)
    #expect(moving.isTooLate(for: change))
    #expect(updates(moving, upTo: 12) == [[2, 4] + Array(6...12), [1, 3, 5, 7, 9, 11], [4, 8, 12]])
    // Periods 3 and 4 meet at 12: in time for a run of 13 steps.
    for (steps, isTooLate) in [(12, true), (13, false)] {
      let late = Self.config(stages(nil)) { ($0.tierUpdateFrequencies, $0.numSteps) = ([1, 3, 4], steps) }
      #expect(try scheduler(late).moveWarnings(late).isEmpty == !isTooLate)
    }
    // A stage that cannot begin in the run is none to warn of.
    let short = Self.config(stages([2, 2, 2])) {
      ($0.tierUpdateFrequencies, $0.tierPhase, $0.numSteps) = ([2, 2, 4], .list([0, 1, 0]), 5)
    }
    #expect(try scheduler(short).moveWarnings(short) == [])
  }

  /// However plans come: what is in one tier of the config has one clock, every step is in one window, and what moves has
  /// none open.
  @Test func noWindowIsCut() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<300 {
      var changes: [PlanChange] = []
      var moving = try scheduler(Self.stages) {
        $0.numSteps = 60
        $0.tierUpdateFrequencies = (0..<3).map { _ in Int.random(in: 1...5, using: &random) }
        $0.tierPhase = .staggered
      }
      var step = 1
      while step < 50 {
        step += Int.random(in: 1...9, using: &random)
        let places = [0, 1, 2, Int.random(in: 0...2, using: &random)].shuffled(using: &random)
        let change = PlanChange(
          firstStep: step, frequencies: (0..<3).map { _ in Int.random(in: 1...5, using: &random) },
          configTiers: places)
        changes.append(change)
        moving.follow(change)
        var again = moving
        again.follow(change)
        #expect(again.tiers == moving.tiers, "\(changes)")
      }
      for step in 1...60 {
        let clocks = moving.tiers.map(\.clock)
        let inForce = Dictionary(grouping: clocks) { $0.stretch(at: step).configTier }
        for clocks in inForce.values {
          #expect(Set(clocks.map { $0.isBoundary(step) }).count == 1, "\(changes) at \(step)")
        }
        for clock in clocks where clock.stretch(at: step).configTier != clock.stretch(at: step + 1).configTier
        {
          #expect(
            clock.isBoundary(step) && clock.windowStart(of: step + 1) == step + 1, "\(changes) at \(step)")
        }
      }
    }
  }

  // MARK: - Updates

  // import numpy as np
  // f = np.float32
  // boundaries = dict(a=range(1, 17), b=[*range(1, 9), 11, *range(12, 17)], c=range(2, 17, 2), d=[4, 8, 11, 15])
  // scales = dict(a=lambda t: 1, b=lambda t: 1 if t <= 8 or t > 11 else .25, c=lambda t: .5, d=lambda t: .25)
  // lengths = dict(a=lambda t: 1, b=lambda t: 3 if t == 11 else 1, c=lambda t: 2, d=lambda t: 3 if t == 11 else 4)
  // for mean in False, True:
  //     for n, name in enumerate("abcd"):
  //         p, m, v, count, window = f(n / 4), f(0), f(0), 0, f(0)
  //         for t in range(1, 17):
  //             g = f((t * (n + 3) % 7 - 3) / 8)
  //             window = window + g if mean else g
  //             if t not in boundaries[name]: continue
  //             g, window, count = window / f(lengths[name](t) if mean else 1), f(0), count + 1
  //             m = m + (g - m) * f(1 - .9)
  //             v = f(.999) * v + f(1 - .999) * g * g
  //             step = f(.01 * scales[name](t) / (1 - .9 ** count))
  //             p = p - step * m / (np.sqrt(v) / f((1 - .999 ** count) ** .5) + f(1e-8))
  //         print(mean, name, count, "%.9g" % p, "%.9g" % m, "%.9g" % v)
  /// Adam for each module by itself, with its own m, v and count, which go along with it; the rate is that of the tier that it
  /// is in, and so is what a mean is over.
  @Test(arguments: [
    (
      InactiveGradients.discard,
      [-0.0229757968, 0.233556435, 0.490859598, 0.744841337] as [Float],
      [0.0203375239, -0.0240638535, -0.0128995851, 0.0678749979] as [Float],
      [0.00100865669, 0.000823065755, 0.000435971597, 0.000280968874] as [Float]
    ),
    (
      .mean, [-0.0229757968, 0.231576845, 0.484376013, 0.745131552],
      [0.0203375239, -0.0191431046, 0.0063370904, 0.0079500014],
      [0.00100865669, 0.000809246209, 0.000179305222, 6.8220812e-05]
    ),
  ])
  func momentsAndCountsMoveAlong(
    inactive: InactiveGradients, values: [Float], means: [Float], squares: [Float]
  ) throws {
    let config = Self.config(Self.stages) {
      ($0.optimizer, $0.learningRate, $0.warmupSteps, $0.lrSchedule) = (.adam, 0.01, 0, .constant)
      ($0.weightDecay, $0.maxGradNorm, $0.gradientAccumulationSteps) = (0, nil, 1)
      ($0.inactiveGradients, $0.tierLrScale) = (inactive, .list([1, 0.5, 0.25]))
    }
    let names = Self.parameters.map(\.name)
    let shapes = Dictionary(uniqueKeysWithValues: names.map { ($0, [1]) })
    var scheduler = try ParameterTierScheduler(config: config, parameters: Self.parameters)
    var state = try NestedTrainerState(
      config: config, scheduler: scheduler,
      parameters: Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, [Float($0) / 4]) }),
      shapes: shapes)
    for step in 1...16 {
      for change in [Self.there, Self.back] where change.firstStep == step {
        state.follow(change)
        scheduler.follow(change)
      }
      // From a snapshot it goes on as it was, also while a plan waits.
      state = try NestedTrainerState(
        config: config, scheduler: scheduler, shapes: shapes, snapshot: state.snapshot())
      let due = Set(state.tiersDue(at: step))
      var gradients: GradientSums = [:]
      for (n, name) in names.enumerated() where scheduler.tier(of: name).map(due.contains) == true {
        gradients[name] = [Float(step * (n + 3) % 7 - 3) / 8]
      }
      _ = try state.apply(
        step: step, trainedTokens: 1,
        gradients: inactive == .discard ? .sums(gradients) : .scaledMicroBatches([gradients]))
    }
    #expect(state.optimizer.updateCounts == [16, 14, 8, 4])
    for (n, name) in names.enumerated() {
      let moments = try #require(state.optimizer.moments[name])
      #expect(abs((state.parameters[name]?[0] ?? .nan) - values[n]) < 1e-7, "\(name)")
      #expect(abs(moments.mean[0] - means[n]) < 1e-8 && abs(moments.square[0] - squares[n]) < 1e-9, "\(name)")
    }
    let statistics = state.scheduler.statistics(globalStep: 16, updateCounts: state.optimizer.updateCounts)
    #expect(statistics["tier_parameters"]?["tier_1"]?["config_tier"] == 0)
  }
}

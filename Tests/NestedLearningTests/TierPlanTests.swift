import Testing

@testable import NestedLearning

/// Periods that change in the course of a run, each at a boundary of the tier's own: after boundary b the phase is b mod f.
/// The tables are worked out by hand.
@Suite struct TierPlanTests {
  private func boundaries(_ clock: TierClock, upTo last: Int = 20) -> [Int] {
    (1...last).filter(clock.isBoundary)
  }

  /// Every 4 steps; from step 6 on every 2, which waits for the boundary at 8; from step 14 on every 3, after that at 14.
  @Test func aWindowIsClosedFirst() {
    var clock = TierClock(frequency: 4)
    clock.change(to: 2, from: 6)
    #expect(boundaries(clock) == [4, 8, 10, 12, 14, 16, 18, 20])
    #expect(clock.newest == TierClock.Stretch(after: 8, frequency: 2, phase: 0))
    clock.change(to: 3, from: 14)
    #expect(boundaries(clock) == [4, 8, 10, 12, 14, 17, 20])
    #expect(clock.newest == TierClock.Stretch(after: 14, frequency: 3, phase: 2))
    #expect(
      (1...20).map(clock.windowStart) == [
        1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 11, 11, 13, 13, 15, 15, 15, 18, 18, 18,
      ])
    #expect([1, 5, 9, 15, 18].map(clock.boundary) == [4, 8, 10, 17, 20])
    #expect([1, 8, 9, 14, 15].map { clock.stretch(at: $0).frequency } == [4, 4, 2, 2, 3])
  }

  /// An update right before a plan begins leaves no window to wait for.
  @Test func atABoundary() {
    var clock = TierClock(frequency: 4, phase: 1)
    clock.change(to: 3, from: 6)
    #expect(boundaries(clock, upTo: 14) == [1, 5, 8, 11, 14])
    clock.change(to: 4, from: 9)
    #expect(boundaries(clock, upTo: 20) == [1, 5, 8, 12, 16, 20])
  }

  /// A period that waits is replaced by that of the next plan; the old one again changes nothing.
  @Test func whatWaitsIsReplaced() {
    var clock = TierClock(frequency: 10)
    clock.change(to: 2, from: 3)
    clock.change(to: 3, from: 5)
    #expect(boundaries(clock) == [10, 13, 16, 19])
    var same = TierClock(frequency: 10)
    same.change(to: 2, from: 3)
    same.change(to: 10, from: 5)
    #expect(same == TierClock(frequency: 10))
    same.change(to: 10, from: 7)
    #expect(same == TierClock(frequency: 10))
    // One that was to begin at the step before the next plan never does.
    var late = TierClock(frequency: 4)
    late.change(to: 2, from: 2)
    late.change(to: 5, from: 5)
    #expect(late.stretches.count == 2 && boundaries(late) == [4, 9, 14, 19])
  }

  /// However plans come, every step is in one window, windows are as long as the period that they are closed by says, and a
  /// change is the same the second time.
  @Test func windowsAreWhole() {
    var random = Numbers(state: 7)
    for _ in 0..<500 {
      let period = random.below(6) + 1
      var clock = TierClock(frequency: period, phase: random.below(period))
      var step = 1
      while step < 60 {
        step += random.below(9) + 1
        clock.change(to: random.below(6) + 1, from: step)
        var again = clock
        again.change(to: clock.newest.frequency, from: step)
        #expect(again == clock)
      }
      var start = 1
      for step in 1...100 {
        #expect(clock.windowStart(of: step) == start, "\(clock) at \(step)")
        guard clock.isBoundary(step) else { continue }
        let length = step - start + 1
        #expect(start == 1 || length == clock.stretch(at: step).frequency, "\(clock) at \(step)")
        start = step + 1
      }
      for last in [1, 17, 60, 100] {
        #expect(clock.boundaries(in: 1...last) == boundaries(clock, upTo: last).count)
      }
      #expect(clock.boundaries(in: 23...71) == (23...71).filter(clock.isBoundary).count)
    }
  }

  private struct Numbers {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
  }

  /// A tier learns later, one is frozen; the others count their updates by the plans that were in force.
  @Test func updatesOfTiers() {
    var tiers = [
      Tier(index: 0, frequency: 1, phase: 0, parameters: ["a"], parameterCount: 1),
      Tier(index: 1, frequency: 4, phase: 0, parameters: ["b"], parameterCount: 1),
      Tier(index: 2, frequency: 4, phase: 0, parameters: ["c"], parameterCount: 1, firstStep: 11),
      Tier(index: 3, frequency: 4, phase: 0, parameters: ["d"], parameterCount: 1, firstStep: Tier.never),
    ]
    for (place, period) in [2, 2, 3, 1].enumerated() { tiers[place].follow(period, from: 6) }
    // 1 to 5, then 7, 9, …; 4, 8, then 10, 12, …; its clock is at 8, 11, 14, … and it learns from 11 on.
    #expect(tiers.map { $0.updates(in: 12) } == [5 + 3, 2 + 2, 1, 0])
    #expect(tiers.map { $0.updates(in: 5) } == [5, 1, 0, 0])
    #expect(tiers[2].firstUpdate == 11 && tiers[2].isActive(at: 14) && !tiers[2].isActive(at: 8))
    #expect(tiers[1].frequency == 2 && tiers[1].frequency(at: 8) == 4)
    #expect(tiers[1].clockText == "every 4 steps, every 2 steps after step 8")
    #expect(tiers[3].clockText == "never (frozen)")
  }

  // MARK: - Updates

  /// One number in each of two tiers, periods 1 and 4, from step 6 on 1 and 2; the gradient of step t is t.
  private func values(
    _ inactive: InactiveGradients, scale: TierLearningRateScale = .none
  ) throws -> (updates: [Int: Float], counts: [Int]) {
    let config = config {
      ($0.numTiers, $0.tierUpdateFrequencies) = (2, [1, 4])
      ($0.optimizer, $0.learningRate, $0.warmupSteps) = (.sgd, 1, 0)
      ($0.lrSchedule, $0.weightDecay, $0.maxGradNorm) = (.constant, 0, 1e6)
      ($0.gradientAccumulationSteps, $0.numSteps, $0.inactiveGradients) = (1, 12, inactive)
      $0.tierLrScale = scale
    }
    let scheduler = try ParameterTierScheduler(config: config, parameters: oneParameterALayer(2))
    var state = try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: ["p0": [0], "p1": [0]],
      shapes: ["p0": [1], "p1": [1]]
    )
    var (updates, last): ([Int: Float], Float) = ([:], 0)
    for step in 1...12 {
      if step == 6 { state.follow(PlanChange(firstStep: 6, frequencies: [1, 2])) }
      let names = state.tiersDue(at: step).map { "p\($0)" }
      let gradients = Dictionary(uniqueKeysWithValues: names.map { ($0, [Float(step)]) })
      let outcome = try state.apply(
        step: step, trainedTokens: 1,
        gradients: inactive == .discard ? .sums(gradients) : .scaledMicroBatches([gradients]))
      #expect(outcome.activeTiers.contains(0))
      let value = state.parameters["p1"]?[0] ?? .nan
      if outcome.activeTiers.contains(1) { updates[step] = last - value }
      last = value
    }
    return (updates, state.optimizer.updateCounts)
  }

  @Test func whatUpdatesAreMadeOf() throws {
    let (discard, counts) = try values(.discard)
    #expect(discard == [4: 4, 8: 8, 10: 10, 12: 12] && counts == [12, 4])
    // 1 + 2 + 3 + 4, 5 + 6 + 7 + 8, 9 + 10, 11 + 12.
    #expect(try values(.sum).updates == [4: 10, 8: 26, 10: 19, 12: 23])
    #expect(try values(.mean).updates == [4: 2.5, 8: 6.5, 10: 9.5, 12: 11.5])
    // The rate that goes by the period goes by the one that the window is closed by.
    #expect(try values(.discard, scale: .inverseFrequency).updates == [4: 1, 8: 2, 10: 5, 12: 6])
  }

  /// From a snapshot between the change and the boundary the windows go on.
  @Test func snapshotOfAnOpenWindow() throws {
    let config = config {
      ($0.numTiers, $0.tierUpdateFrequencies, $0.inactiveGradients) = (2, [1, 4], .sum)
      $0.gradientAccumulationSteps = 1
    }
    let shapes = ["p0": [1], "p1": [1]]
    var scheduler = try ParameterTierScheduler(config: config, parameters: oneParameterALayer(2))
    var state = try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: ["p0": [0], "p1": [0]], shapes: shapes)
    let change = PlanChange(firstStep: 3, frequencies: [2, 1])
    func apply(_ step: Int, to state: inout NestedTrainerState) throws {
      _ = try state.apply(
        step: step, trainedTokens: 1,
        gradients: .scaledMicroBatches([["p0": [Float(step)], "p1": [Float(step) / 3]]]))
    }
    for step in 1...2 { try apply(step, to: &state) }
    state.follow(change)
    try apply(3, to: &state)
    scheduler.follow(change)
    var again = try NestedTrainerState(
      config: config, scheduler: scheduler, shapes: shapes, snapshot: state.snapshot())
    for step in 4...9 {
      try apply(step, to: &state)
      try apply(step, to: &again)
      #expect(again.snapshot() == state.snapshot(), "step \(step)")
    }
    #expect(state.optimizer.updateCounts == [2 + 3, 1 + 5])
  }
}

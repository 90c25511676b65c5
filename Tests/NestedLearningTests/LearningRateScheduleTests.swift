import Foundation
import Testing

@testable import NestedLearning

@Suite struct LearningRateScheduleTests {
  private func rates(_ kind: LearningRateScheduleKind, warmup: Int, steps: Int) -> [Double] {
    let schedule = LearningRateSchedule(
      config: config {
        $0.learningRate = 0.5
        $0.lrSchedule = kind
        $0.warmupSteps = warmup
        $0.numSteps = steps
      })
    return (1...steps).map(schedule.rate)
  }

  /// t/w to step w = 4, then p = (t − 4)/7 to step 10.
  @Test func ratesFollowTheFormulas() {
    let warm = [0.125, 0.25, 0.375, 0.5]
    #expect(rates(.constant, warmup: 4, steps: 10) == warm + Array(repeating: 0.5, count: 6))
    #expect(rates(.linear, warmup: 4, steps: 10) == warm + (1...6).map { 0.5 * (1 - Double($0) / 7) })
    let cosine = rates(.cosine, warmup: 4, steps: 10)
    for (rate, expected) in zip(cosine, warm + (1...6).map { 0.25 * (1 + cos(Double.pi * Double($0) / 7)) }) {
      #expect(abs(rate - expected) <= 1e-16)
    }
  }

  private func rates(_ change: (inout NestedLearningConfig) -> Void) -> [Double] {
    let config = config {
      ($0.learningRate, $0.warmupSteps, $0.numSteps) = (0.5, 4, 10)
      change(&$0)
    }
    return (1...config.numSteps).map { LearningRateSchedule(config: config).rate(at: $0) }
  }

  private func expect(
    _ rates: [Double], _ expected: [Double], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(rates.count == expected.count, sourceLocation: sourceLocation)
    for (rate, expected) in zip(rates, expected) {
      #expect(abs(rate - expected) <= 1e-15, sourceLocation: sourceLocation)
    }
  }

  /// Computed in Python:
  ///
  ///     p = lambda t: (t - 4) / 7
  ///     [.01 + (.5 - .01) * (1 - p(t)) ** 2 for t in range(5, 11)]
  ///     [.01 + (.5 - .01) * (.5 * (1 + math.cos(math.pi * p(t)))) for t in range(5, 11)]
  @Test func ratesFallToTheirEnd() {
    let warm = [0.125, 0.25, 0.375, 0.5]
    expect(
      rates { ($0.lrSchedule, $0.lrEnd, $0.lrPower) = (.polynomial, 0.01, 2) },
      warm + [0.37, 0.26, 0.17, 0.1, 0.05, 0.02])
    expect(
      rates { ($0.lrSchedule, $0.lrEnd) = (.cosine, 0.01) },
      warm + [
        0.47573737263609267, 0.40775500145538973, 0.309517628819297, 0.200482371180703, 0.10224499854461029,
        0.03426262736390734,
      ])
    expect(
      rates { ($0.lrSchedule, $0.lrEnd) = (.linear, 0.15) }.suffix(6), (1...6).map { 0.5 - 0.05 * Double($0) }
    )
    // Of power 1 it is the line.
    expect(rates { $0.lrSchedule = .polynomial }, rates { $0.lrSchedule = .linear })
  }

  /// Howard & Ruder 2018 with cut .1 and ratio 32, t/T = p; computed in Python:
  ///
  ///     def f(p): q = p / .1 if p < .1 else 1 - (p - .1) / (.1 * (1 / .1 - 1)); return .5 * (1 + q * 31) / 32
  ///     [f(t / 20) for t in range(1, 20)]
  @Test func aSlantedTriangle() {
    let computed = rates {
      ($0.lrSchedule, $0.warmupSteps, $0.numSteps) = (.slantedTriangular, 0, 19)
    }
    expect(
      computed,
      [
        0.2578125, 0.5, 0.4730902777777778, 0.4461805555555555, 0.41927083333333337, 0.3923611111111111,
        0.36545138888888895, 0.33854166666666663, 0.3116319444444445, 0.2847222222222222, 0.25781249999999994,
        0.23090277777777776, 0.20399305555555552, 0.17708333333333334, 0.1501736111111111,
        0.12326388888888888,
        0.0963541666666667, 0.06944444444444442, 0.04253472222222224,
      ])
  }

  /// PyTorch 2.15:
  ///
  ///     o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
  ///     s = torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=1e-4, min_lr=0.02)
  ///     for loss in losses: s.step(loss); print(o.param_groups[0]["lr"])
  @Test func aPlateauIsPyTorchs() {
    let config = config {
      ($0.lrSchedule, $0.plateauFactor, $0.plateauPatience) = (.plateau, 0.5, 2)
      ($0.lrEnd, $0.learningRate) = (0.02, 0.1)
    }
    let losses = [
      1.0, 0.9, 0.9, 0.89995, 0.91, 0.92, 0.8, 0.81, 0.82, 0.83, 0.79995, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7,
    ]
    var state = PlateauState(rate: 0.1)
    let rates = losses.map { loss in
      _ = state.evaluated(loss: loss, config)
      return state.rate
    }
    #expect(
      rates == [
        0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025, 0.025, 0.02, 0.02, 0.02,
        0.02,
      ])
    #expect(LearningRateSchedule(config: config).rate(at: 500, base: 0.02) == 0.02)
  }

  @Test func anOptimizerWithItsSchedule() throws {
    let config = config { ($0.numTiers, $0.tierUpdateFrequencies) = (2, [1, 2]) }
    let scheduler = try ParameterTierScheduler(config: config, parameters: oneParameterALayer(2))
    let (optimizer, schedule) = createOptimizerWithSchedule(
      config: config, scheduler: scheduler, counts: ["p0": 1, "p1": 1])
    #expect(optimizer.updateCounts == [0, 0] && optimizer.moments.count == 2)
    #expect(schedule.rate(at: 100) == config.learningRate)
  }

  @Test func warmUpMayBeMissingOrLongerThanTheRun() {
    #expect(rates(.linear, warmup: 0, steps: 3) == [1, 2, 3].map { 0.5 * (1 - $0 / 4) })
    #expect(rates(.cosine, warmup: 8, steps: 4) == [0.0625, 0.125, 0.1875, 0.25])
    #expect(rates(.linear, warmup: 3, steps: 3).last == 0.5)
  }
}

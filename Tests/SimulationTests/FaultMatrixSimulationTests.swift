import Foundation
import Testing

@testable import Simulation

/// Rows of the fault matrix that are simulated. Each run is held to the plain computation of the same training, step by
/// step and by the SHA-256 of its final state.
@Suite struct FaultMatrixSimulationTests {
  private func run(_ scenario: Scenario) throws -> Outcome {
    let outcome = try Simulation(scenario).run()
    #expect(outcome.problems == [])
    #expect(outcome.finished)
    return outcome
  }

  /// Row 5: the coordinator is killed at every persist and every send, before or after it is done.
  @Test func row5() throws {
    let plain = try Simulation(Scenario.plain(seed: 2, steps: 8, workers: 2))
    let undisturbed = try plain.run()
    #expect(undisturbed.succeeded)
    var replayed = 0
    var longest = 0.0
    var kills = 0
    for seed in [2, 3] as [UInt64] {
      for (isPersist, count) in [(true, plain.persists), (false, plain.sends)] {
        for number in 1...count {
          var scenario = try Scenario.plain(seed: seed, steps: 8, workers: 2)
          if isPersist { scenario.killAtPersistNumber = number } else { scenario.killAtSendNumber = number }
          let outcome = try run(scenario)
          #expect(outcome.digest == undisturbed.digest)
          kills += 1
          replayed = max(replayed, outcome.consequences["steps replayed", default: 0])
          longest = max(longest, outcome.simulatedSeconds - undisturbed.simulatedSeconds)
        }
      }
    }
    print("row 5: \(kills) kills, at most \(replayed) steps replayed, at most \(longest) s longer")
    #expect(kills > 100)
    // Back and computing within 10 s, and the steps since the snapshot once more.
    #expect(longest < 10 + 8 * 0.5)
  }

  /// Row 8: messages duplicated 0–50 %, lost 0–30 %, reordered, delayed up to 5 s.
  @Test func row8() throws {
    var peak = 0
    var payloads = 0
    var faults = 0
    for duplicated in [0, 0.1, 0.3, 0.5] {
      for lost in [0, 0.1, 0.3] {
        for others in [0, 0.3] {
          var scenario = try Scenario.plain(seed: 8, steps: 30, workers: 4)
          scenario.network = .init(lost: lost, duplicated: duplicated, reordered: others, delayed: others)
          scenario.faultsUntil = 60
          let outcome = try run(scenario)
          peak = max(peak, outcome.peakEvents)
          payloads = max(payloads, outcome.peakPayloads)
          faults += outcome.faults.values.reduce(0, +)
        }
      }
    }
    print("row 8: \(faults) faults of messages, at most \(peak) things under way, \(payloads) results kept")
    #expect(faults > 1000 && payloads <= 9 && peak < 3000)
  }

  /// Row 9: partitions both ways, one way, and node by node in random order: the next step is committed within 30 s of
  /// healing.
  @Test func row9() throws {
    var longest = 0.0
    for (name, seed) in [("both", 1), ("one way", 2), ("node by node", 3), ("node by node", 4)]
      as [(String, UInt64)]
    {
      var scenario = try Scenario.plain(seed: seed, steps: 400, workers: 4)
      scenario.faultsUntil = 50
      var random = SplitMix64(seed: seed)
      for (turn, place) in (0..<4).shuffled(using: &random).enumerated() {
        let start = name == "node by node" ? 5 + 10 * Double(turn) : 10
        scenario.planned.append(
          (time: start, kind: name == "one way" ? .partitionOneWay : .partition, place: place, seconds: 60))
      }
      let outcome = try run(scenario)
      let seconds = try #require(outcome.secondsToNextCommit)
      print("row 9, \(name): \(seconds) s from healing to the next commit")
      longest = max(longest, seconds)
    }
    #expect(longest <= 30)
  }

  /// Row 13: one of four workers comes to wrong results now and then, without killing anybody. All of them are found
  /// if everything is compared, and no step is ever wrong; below that the run goes back once one is.
  @Test(arguments: [1, 0.3]) func row13(fraction: Double) throws {
    var lies = 0
    var chains = 0
    var quarantined = 0
    var returns = 0
    var missed = 0
    for seed in 1...20 as ClosedRange<UInt64> {
      var scenario = try Scenario.plain(seed: seed, steps: 40, workers: 4)
      scenario.problem.config.verifyFraction = fraction
      scenario.workers[0].lies = 0.1
      scenario.faultsUntil = 10
      let outcome = try run(scenario)
      lies += outcome.faults[.wrongResult, default: 0] + outcome.faults[.resultNotFinite, default: 0]
      chains += outcome.faults[.wrongChain, default: 0]
      quarantined += outcome.consequences["quarantined", default: 0]
      returns += outcome.consequences["went back", default: 0]
      missed += outcome.consequences["lies that were never found", default: 0]
      if fraction == 1 { #expect(outcome.consequences["steps with a lie in them"] == nil) }
    }
    print(
      "row 13 at \(fraction): \(lies) wrong results, \(chains) wrong chains, \(quarantined) quarantined, went back \(returns) times, "
        + "never found in \(missed) of 20 runs")
    #expect(quarantined >= 10 && (fraction == 1) == (chains == 0))
    #expect(fraction == 1 ? returns == 0 && missed == 0 : returns >= 5 && missed < 10)
  }

  /// Row 7: the disk takes nothing, again and again; the run waits, and is the same in the end.
  @Test func row7() throws {
    var scenario = try Scenario.plain(seed: 7, steps: 60, workers: 3)
    let calm = try run(scenario)
    scenario.faultsUntil = 30
    for second in 1...20 {
      scenario.planned.append((time: 1.3 * Double(second), kind: .diskFault, place: 0, seconds: 0.9))
    }
    let outcome = try run(scenario)
    #expect(outcome.digest == calm.digest)
    let refused = outcome.consequences["writes refused by the disk", default: 0]
    print("row 7: \(refused) writes refused, \(outcome.simulatedSeconds - calm.simulatedSeconds) s longer")
    #expect(refused >= 10)
  }

  /// Row 17: the wall clock jumps by hours, forwards and backwards; everything goes as it would have gone.
  @Test func row17() throws {
    var scenario = try Scenario.plain(seed: 17, steps: 240, workers: 3)
    scenario.faultsUntil = 30
    let calm = try run(scenario)
    for second in 1...20 {
      scenario.planned.append((time: Double(second), kind: .clockJump, place: 0, seconds: 0))
    }
    let jumping = try run(scenario)
    #expect(jumping.faults[.clockJump] == 20)
    #expect(calm.messages == jumping.messages && calm.simulatedSeconds == jumping.simulatedSeconds)
    #expect(calm.consequences == jumping.consequences && calm.digest == jumping.digest)
    print("row 17: \(calm.messages) messages with and without 20 jumps of the clock")
  }
}

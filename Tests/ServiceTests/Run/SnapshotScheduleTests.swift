import Ledger
import Testing

@testable import Service
@testable import Training

/// Snapshots cost at most 2 % of the time (Sources/README.md, "Output of a run"), whatever one costs.
@Suite struct SnapshotScheduleTests {
  /// Steps of `step` seconds, snapshots of `cost` seconds.
  private func run(steps: Int, step: Double, cost: Double, bytes: Int = 0) -> (share: Double, at: [Int]) {
    var now = 0.0
    var spent = 0.0
    var at: [Int] = []
    var schedule = SnapshotSchedule(step: 0, bytes: bytes, now: now)
    for number in 1...steps {
      now += step
      guard schedule.isDue(after: number, now: now) else { continue }
      now += cost
      spent += cost
      at.append(number)
      schedule.wrote(step: number, seconds: cost)
    }
    return (spent / now, at)
  }

  @Test(arguments: [(0.05, 0.01), (0.05, 0.2), (2, 0.01), (0.001, 0.003), (1, 3)])
  func costsTwoPercent(step: Double, cost: Double) {
    let (share, at) = run(steps: 900, step: step, cost: cost, bytes: Int(cost * 100e6))
    #expect(share <= 0.02, "\(at)")
    let total = 900 * step
    // No fewer than there is time for, once the first guess is past.
    #expect(at.count >= min(900, Int((0.02 * total - 0.02) / cost)) - 1, "\(at)")
  }

  @Test func atMostEveryStepAndAtLeastEveryThousand() {
    #expect(run(steps: 100, step: 10, cost: 0.001).at == Array(1...100))
    #expect(run(steps: 5000, step: 0.0001, cost: 10).at == [1000, 2000, 3000, 4000, 5000])
  }

  /// A snapshot that the end of a replay asked for counts too: the next one comes later.
  @Test func forcedOnesCount() {
    var schedule = SnapshotSchedule(step: 40, bytes: 0, now: 0)
    schedule.wrote(step: 50, seconds: 1)
    #expect(!schedule.isDue(after: 60, now: 99))
    #expect(schedule.isDue(after: 60, now: 101))
    #expect(!schedule.isDue(after: 50, now: 1000), "there is one of this step")
    schedule.rollBack(to: 10)
    #expect(schedule.isDue(after: 11, now: 1000))
  }

  private func kept(_ steps: [Int], bytes: Int = 1) -> [Int] {
    SnapshotRetention.kept(steps.map { SnapshotRecord(step: $0, manifest: "m", bytes: bytes) }).map(\.step)
  }

  /// A snapshot at every tenth step: the last two are there, and four more, each about twice as far back.
  @Test func olderOnesThinOut() {
    var steps: [Int] = []
    for step in stride(from: 10, through: 10_000, by: 10) {
      steps = kept([step] + steps)
      #expect(steps.prefix(2).elementsEqual([step, step - 10].filter { $0 > 0 }))
      #expect(steps.count <= 6 && (step < 1000 || steps.count >= 5), "\(steps)")
      let ages = steps.dropFirst(2).map { step - $0 }
      for (age, older) in zip(ages, ages.dropFirst()) { #expect(older > age && older < 5 * age, "\(ages)") }
    }
    #expect(steps.last.map { $0 <= 9900 } == true, "\(steps)")
  }

  /// Those of kept checkpoints stay whatever their age and size, and no longer than the checkpoints.
  @Test func checkpointsKeepTheirSnapshots() {
    func kept(_ steps: [Int], bytes: Int, checkpoints: [Int]) -> [Int] {
      let records = steps.map { SnapshotRecord(step: $0, manifest: "m", bytes: bytes) }
      return SnapshotRetention.kept(records, checkpoints: checkpoints).map(\.step)
    }
    let large = SnapshotRetention.bytes
    #expect(kept([50, 40, 30, 20, 10], bytes: large, checkpoints: [10, 30]) == [50, 40, 30, 10])
    #expect(kept([50, 40, 30, 20, 10], bytes: large, checkpoints: [50, 7]) == [50, 40])
    #expect(kept([50, 40, 30, 10], bytes: large, checkpoints: [30]) == [50, 40, 30])
  }

  @Test func thereIsABoundInBytes() {
    let half = SnapshotRetention.bytes / 2
    #expect(kept([50, 40, 30, 20], bytes: half + 1) == [50, 40])
    #expect(kept([50, 40, 30, 20], bytes: SnapshotRetention.bytes / 3) == [50, 40, 20])
    #expect(kept([]) == [])
  }
}

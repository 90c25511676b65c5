import Foundation
import Harness
import Testing

/// Memory is planned and used again: the resident size does not grow from step to step.
@Suite struct MemoryTests {
  /// Rows of varying length in random order, windows and evaluations: after the first 300 steps everything has had its
  /// largest size. A leak of one gradient (7 KB) a step would show.
  @Test func aWorkerDoesNotGrow() throws {
    let run = try TrainingRun(["num_steps": 1300, "eval_every": 50, "inactive_gradients": "mean"])
    let coordinator = try run.start(["--local-workers", "1", "--threads-per-worker", "1"])
    func steps() -> Int { (try? rows(run.file("metrics/train_metrics.jsonl")).count) ?? 0 }
    #expect(waitUntil(seconds: 60) { steps() >= 300 })
    let worker = try #require(children(of: coordinator.process.processIdentifier).first)
    var sizes = [try residentBytes(worker)]
    for step in [750, 1200] {
      #expect(waitUntil(seconds: 120) { steps() >= step })
      sizes.append(try residentBytes(worker))
    }
    // A leak shows in both halves. In one of them a worker may grow once, as when it joins again on a slow machine.
    let growth = min(sizes[1] - sizes[0], sizes[2] - sizes[1])
    #expect(growth < 3 << 19, "\(sizes)")
    coordinator.terminate()
    _ = try coordinator.wait()
  }
}

import Coordination
import NestedLearning
import Synchronization
import Testing
import WireProtocol

@testable import Training

/// What a run wants done, in which order. The reference is the invariants of Sources/README.md: a step commits once and
/// before any worker hears of the next (6), every wait is bounded and named (8), nothing is skipped silently (9).
@Suite struct RunCoreTests {
  /// From nothing to the end: each step is committed before its workers are told and before the next one is opened.
  @Test func aRunFromBeginningToEnd() throws {
    var scene = try RunScene { $0.numSteps = 2 }
    #expect(scene.run.begin(now: .zero).compactMap(RunScene.line) == ["restore"])
    #expect(scene.restored(0) == ["write: recording the tiers"])
    #expect(scene.written(0) == ["publish 2 tiers", "open step 1, tiers [0]"])
    #expect(scene.computed(1) == ["apply step 1, 1 results"])
    #expect(try scene.apply(1) == ["write: committing step 1"])
    #expect(
      scene.written(1) == ["acknowledge step 1", "tiers [0] have changed", "open step 2, tiers [0, 1]"])
    #expect(
      try scene.computed(2) + scene.apply(2) == ["apply step 2, 1 results", "write: committing step 2"])
    #expect(
      scene.written(2) == [
        "acknowledge step 2", "tiers [0, 1] have changed", "open the evaluation after step 2, tiers []",
      ])
    #expect(scene.computed(3) == ["write: recording the evaluation after step 2"])
    #expect(
      scene.written(3) == ["acknowledge the evaluation after step 2", "write: writing the checkpoint best"])
    #expect(scene.written(3) == ["write: writing the checkpoint final"])
    #expect(scene.written(3) == ["write: writing the snapshot after step 2"])
    #expect(scene.written(3) == ["write: recording the end of the run"])
    #expect(scene.written(3) == ["drain"])
    #expect(scene.at(4, .drained) == ["write: recording who came and went"])
    #expect(scene.written(4) == ["end: completed"])
    #expect(scene.at(5, .timer) == [], "nothing comes after the end")
  }

  /// Hand-outs and workers that came and went travel with the next commit, once.
  @Test func theLedgerHearsOfHandOutsWithTheCommit() throws {
    var scene = try RunScene()
    scene.begin()
    #expect(scene.at(0.1, .attemptEnded(.ended(1, .failed))) == [])
    #expect(scene.at(0.2, .worker(.left(workerID: 1, reason: "gone", at: .zero))) == [])
    _ = scene.computed(0.5)
    #expect(try scene.apply(0.5) == ["write: committing step 1, 1 hand-outs, 1 news of workers"])
    _ = scene.written(0.5)
    _ = scene.computed(0.6)
    #expect(try scene.apply(0.6) == ["write: committing step 2"])
  }

  /// What a unit came to is committed with it alone: neither who came and went takes its hand-outs along, nor does a run
  /// that fails before its commit say so of them. Found by seed 187 of the simulation.
  @Test func handOutsOfAUnitAreCommittedWithIt() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .attemptEnded(.ended(1, .failed)))
    _ = scene.at(1, .attemptEnded(.ended(2, .committed)))
    _ = scene.at(1, .worker(.left(workerID: 1, reason: "gone", at: .zero)))
    #expect(
      scene.at(2, .timer) == ["write: recording who came and went, 1 hand-outs, 1 news of workers"])
    #expect(scene.write?.attempts.map(\.attempt) == [1])
    _ = scene.written(2)
    _ = scene.computed(3)
    var failing = scene
    #expect(try scene.apply(3) == ["write: committing step 1, 1 hand-outs"])
    #expect(scene.write?.attempts.map(\.outcome) == [.committed])
    _ = failing.at(3, .engineFailed(TrainingError("no memory", remedy: "none")))
    #expect(failing.write?.attempts.map(\.outcome) == [.stale])
  }

  /// During a long step who came and went is put down by itself, a second later; what a disk does not take comes with
  /// the next commit.
  @Test func newsOfWorkersDoNotWaitForALongStep() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .worker(.left(workerID: 1, reason: "gone", at: .zero)))
    #expect(scene.timer == Instant.zero + 2)
    #expect(scene.at(2, .timer) == ["write: recording who came and went, 1 news of workers"])
    #expect(scene.disk(2, "full") == [], "no reason to pause")
    _ = scene.computed(3)
    #expect(try scene.apply(3) == ["write: committing step 1, 1 news of workers, once more"])
  }

  /// A write may find that the one before it, of who came and went, has failed; so it takes along what that one did:
  /// its own hand-outs are of those workers. Found by seed 3014335 of the simulation.
  @Test func newsOnTheWayComeAlongAgain() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .worker(.left(workerID: 1, reason: "gone", at: .zero)))
    #expect(scene.at(2, .timer) == ["write: recording who came and went, 1 news of workers"])
    let news = try #require(scene.write)
    _ = scene.computed(2)
    #expect(try scene.apply(2) == ["write: committing step 1, 1 news of workers, once more"])
    #expect(scene.at(2, .writeFailed(news.id, .mayPass(.disk, "full"))) == [])
    #expect(
      scene.written(2) == ["acknowledge step 1", "tiers [0] have changed", "open step 2, tiers [0, 1]"])
  }

  /// A quarantine is put down at once: a crash until the next commit would forget it. The run goes back when the step
  /// in hand is out of it.
  @Test func aQuarantineIsWrittenAtOnceAndRollsBack() throws {
    var scene = try RunScene()
    scene.begin()
    let lines = scene.at(1, .quarantined(workerID: 3, identity: "liar", reason: "it lied"))
    #expect(lines == ["worker 3 (liar) is in quarantine: it lied"])
    #expect(scene.at(1, .timer) == ["write: recording who came and went, 1 news of workers"])
    _ = scene.written(1)
    #expect(try scene.step(2).last == "write: going back")
    #expect(scene.written(2, .rolledBack(["went back"], lastStep: 0)) == ["went back", "restore"])
    #expect(scene.restored(3) == ["write: recording the tiers"])
    #expect(scene.written(3) == ["publish 2 tiers", "open step 1, tiers [0]"])
  }

  /// Nothing of the liar's is in the record: the run goes on as it is.
  @Test func nothingToUndo() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .quarantined(workerID: 3, identity: "liar", reason: "it lied"))
    _ = try scene.step(2)
    #expect(scene.written(2, .rolledBack([], lastStep: 1)) == ["open step 2, tiers [0, 1]"])
  }

  // MARK: - Replays

  /// Steps that were committed before are compared, not committed again; a recorded evaluation is not made again; when
  /// the replay is over, a snapshot is taken, so that repeated crashes still make progress.
  @Test func aReplay() throws {
    var scene = try RunScene { $0.evalEvery = 1 }
    _ = scene.restored(0, lastStep: 2, evaluations: [1: 3.5])
    _ = scene.written(0)
    _ = scene.computed(1)
    #expect(try scene.apply(1) == ["write: recording who computed step 1 again"])
    #expect(
      scene.written(1) == [
        "acknowledge step 1", "tiers [0] have changed", "write: writing the checkpoint best",
      ])
    #expect(scene.run.progress.bestLoss == 3.5)
    #expect(scene.written(1) == ["open step 2, tiers [0, 1]"])
    #expect(try scene.step(2).last == "write: writing the snapshot after step 2")
    #expect(scene.written(2) == ["open the evaluation after step 2, tiers []"])
  }

  /// Two workers agree on every shard, and it is what the record has: then something else has changed.
  @Test func aReplayThatNobodyIsToBlameFor() throws {
    var scene = try RunScene()
    _ = scene.restored(0, lastStep: 1)
    _ = scene.written(0)
    _ = try scene.computed(1) + scene.apply(1)
    let right = try #require(scene.counted)
    for _ in 0..<2 {
      let id = try #require(scene.write?.id)
      _ = scene.at(1, .writeFailed(id, .differs(step: 1, recorded: "abc")))
      guard scene.write?.doing == "going back" else { break }
      _ = scene.written(1, .rolledBack([], lastStep: 1))
      let whole = ComputedShard(leaves: 0..<2, tiers: [0], digest: right.digest, identity: "h/9")
      _ = scene.restored(2, lastStep: 1, shards: [1: [whole]])
      _ = scene.written(2)
      _ = scene.computed(3)
      _ = scene.at(3, .applied(try #require(scene.applied)))
    }
    #expect(scene.write?.doing == "recording the end of the run")
    #expect(scene.written(4).first?.contains("do not trust this run") == true)
  }

  // MARK: - The disk

  /// A disk that takes nothing pauses the run: the same is tried after 1, 2, 4, 8, 10, 10 s with the ledger opened anew,
  /// and what was there already is not to be done twice.
  @Test func aDiskThatComesBack() throws {
    var scene = try RunScene()
    scene.begin()
    _ = try scene.computed(1) + scene.apply(1)
    var now = 1.0
    #expect(
      scene.disk(now, "full") == [
        "paused (disk): committing step 1: full; trying again for 600 s, workers are kept"
      ])
    for delay in [1.0, 2, 4, 8, 10, 10] {
      #expect(scene.timer == Instant.zero + now + delay)
      now += delay
      #expect(scene.at(now, .timer) == ["reopen the ledger"])
      #expect(scene.at(now, .reopened) == ["write: committing step 1, once more"])
      #expect(scene.disk(now, "full") == [], "the same reason is told once")
    }
    #expect(scene.run.activity?.wait?.reason == "committing step 1: full")
    #expect(scene.run.activity?.wait?.deadline == Instant.zero + 601)
    _ = scene.at(now + 10, .timer)
    _ = scene.at(now + 10, .reopened)
    let lines = scene.written(now + 10)
    #expect(lines.first == "the disk is back after 45 s; the run goes on")
    #expect(lines.last == "open step 2, tiers [0, 1]")
    #expect(scene.run.activity == nil)
  }

  @Test func aDiskThatDoesNotComeBack() throws {
    var scene = try RunScene()
    scene.begin()
    _ = try scene.computed(1) + scene.apply(1)
    _ = scene.disk(1, "full")
    var now = 1.0
    var lines: [String] = []
    while lines.isEmpty, now < 2000 {
      now = max(now, scene.timer.seconds(since: .zero))
      _ = scene.at(now, .timer)
      lines = scene.at(now, .reopenFailed(.mayPass(.disk, "full")))
    }
    #expect(now == 601, "the wait is bounded")
    #expect(lines == ["write: recording the end of the run, once more"])
    let end = scene.disk(now, "full")
    #expect(end.first?.contains("did not come back within 600 s: committing step 1: full") == true)
  }

  @Test func stoppedWhileTheDiskIsAtFault() throws {
    var scene = try RunScene()
    scene.begin()
    _ = try scene.computed(1) + scene.apply(1)
    _ = scene.disk(1, "full")
    #expect(scene.at(2, .stop(deadline: .never)) == ["write: recording the end of the run, once more"])
    #expect(scene.disk(2, "full").first?.contains("stopped while the disk could not be written") == true)
  }

  // MARK: - Stopping

  /// The step in hand is finished; then everything is written that is needed to go on.
  @Test func aStopInTheMiddleOfAStep() throws {
    var scene = try RunScene()
    scene.begin()
    #expect(scene.at(1, .stop(deadline: .never)) == ["hurry"])
    #expect(try scene.step(2).last == "write: writing the checkpoint checkpoint_0000001")
    #expect(scene.written(2) == ["hurry", "write: writing the snapshot after step 1"])
    #expect(scene.written(2) == ["write: recording the end of the run"])
    #expect(scene.written(2) == ["drain"])
    _ = scene.at(3, .drained)
    #expect(scene.written(3) == ["end: stopped"])
  }

  /// An evaluation is left for when the run goes on, and the workers may join again then.
  @Test func aStopInAnEvaluation() throws {
    var scene = try RunScene()
    scene.begin()
    _ = try scene.step(1) + scene.step(2)
    #expect(scene.unit?.purpose == .evaluate)
    #expect(
      scene.at(3, .stop(deadline: .never)) == ["abandon", "write: writing the checkpoint checkpoint_0000002"])
    _ = scene.written(3)
    _ = scene.written(3)
    #expect(scene.written(3) == ["write: recording who came and went"], "nobody is sent away")
    #expect(scene.written(3) == ["end: stopped"])
  }

  /// Nobody is there to compute the step: it is left.
  @Test func aStopWithoutWorkers() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .stop(deadline: .never))
    let unit = try #require(scene.unit)
    #expect(
      scene.at(1, .unitLeft(unit)) == [
        "abandon", "no worker is left: step 1 is computed when the run goes on",
        "write: recording the end of the run",
      ])
  }

  /// The grace is over: the step is given up, and what is not written 10 s later never will be.
  @Test func aStopWithADeadline() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .stop(deadline: .zero + 8))
    #expect(scene.timer == Instant.zero + 8)
    #expect(
      scene.at(8, .timer) == [
        "abandon", "the 7 s of --grace are over: step 1 is computed when the run goes on",
        "write: recording the end of the run",
      ])
    #expect(scene.timer == Instant.zero + 13)
    _ = scene.at(13, .timer)
    #expect(scene.timer == Instant.zero + 18)
    #expect(scene.at(18, .timer).first?.contains("could not be written down within 10 s") == true)
  }

  /// Everything is written, and a worker does not leave: that is no failure. Found by seed 789.
  @Test func workersThatDoNotLeaveInTime() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .stop(deadline: .zero + 8))
    _ = try scene.step(2)
    _ = scene.written(2)
    _ = scene.written(2)
    #expect(scene.written(2) == ["drain"])
    #expect(scene.at(18, .timer) == ["end: stopped"])
  }

  // MARK: - Resting

  /// A run rests between two steps, with everything on the disk, and goes on where it was.
  @Test func aPause() throws {
    var scene = try RunScene()
    scene.begin()
    #expect(scene.at(1, .pause) == [], "the step in hand is finished first")
    #expect(try scene.step(2).last == "write: writing the snapshot after step 1")
    #expect(scene.written(2) == ["the workers are free", "paused after step 1"])
    #expect(scene.run.activity?.isPaused == true)
    #expect(scene.at(50, .timer) == [])
    #expect(
      scene.at(60, .resume) == [
        "the workers are wanted", "goes on after step 1", "open step 2, tiers [0, 1]",
      ])
  }

  /// Found by seed 4: the pause took hold after it was over, and for ever.
  @Test func aPauseThatIsOverBeforeItTakesHold() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .pause)
    #expect(try scene.step(2).last == "write: writing the snapshot after step 1")
    #expect(scene.at(2, .resume) == [])
    #expect(scene.written(2) == ["open step 2, tiers [0, 1]"])
  }

  @Test func aStopWhileItRests() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .pause)
    _ = try scene.step(2)
    _ = scene.written(2)
    #expect(scene.at(3, .stop(deadline: .never)) == ["write: writing the checkpoint checkpoint_0000001"])
  }

  // MARK: - Windows

  /// With windows, a step is applied once what its results bring is kept and nothing is missing for the tiers that it
  /// updates; a flush asks for all.
  @Test func windowsAreCompletedBeforeAStepIsApplied() throws {
    var scene = try RunScene {
      $0.inactiveGradients = .mean
      $0.flushEvery = 2
    }
    _ = scene.restored(0)
    #expect(scene.written(0) == ["publish 2 tiers and windows", "open step 1, tiers [0, 1]"])
    #expect(scene.computed(1) == ["keep 1"])
    #expect(scene.at(1, .kept) == ["complete windows of [0] through 1"])
    #expect(scene.at(1, .windowsComplete(oldestStep: 1)) == ["apply step 1, 1 results"])
  }

  /// What is not there any more ends the run, with the remedy.
  @Test func windowsThatAreLost() throws {
    var scene = try RunScene { $0.inactiveGradients = .mean }
    scene.begin()
    _ = scene.computed(1)
    _ = scene.at(1, .kept)
    #expect(scene.at(1, .windowsLost) == ["write: recording the end of the run"])
    #expect(scene.written(1).first?.contains("resume RUN goes on from the last snapshot") == true)
  }

  /// A stop at a step whose windows are with the workers has them handed over; without workers it goes on from the last
  /// snapshot, and says so.
  @Test func windowsAtAStop() throws {
    for hasWorkers in [true, false] {
      var scene = try RunScene {
        $0.inactiveGradients = .mean
        $0.tierUpdateFrequencies = [1, 3]
      }
      scene.begin()
      _ = scene.computed(1)
      _ = scene.at(1, .stop(deadline: .never))
      _ = scene.at(1, .kept)
      _ = scene.at(1, .windowsComplete(oldestStep: 1))
      let gradients = (0..<2).map { TierGradient(tier: 0, microBatch: $0, floats: [1, -1]) }
      let message = ResultMessage(attempt: 1, lossSum: 8, tokens: 4, seconds: 1, gradients: gradients)
      let shard = Shard(node: .root(count: 2), tiers: [0, 1])
      try scene.engine.keep([UnitResult(shard: shard, step: 1, message: message)])
      _ = scene.at(
        1, .applied(try scene.engine.apply(step: 1, losses: StepLosses(task: 8, taskTokens: 4), results: [])))
      #expect(scene.written(1).last == "write: writing the checkpoint checkpoint_0000001")
      #expect(scene.written(1) == ["hurry", "complete windows of [1] through 1"])
      if hasWorkers {
        #expect(
          scene.at(2, .windowsComplete(oldestStep: 2)) == ["write: writing the snapshot after step 1"])
      } else {
        let unit = WorkUnit(purpose: .collect, step: 1, leafCount: 2, dueTiers: [1])
        #expect(
          scene.at(2, .unitLeft(unit)) == [
            "abandon",
            "no worker is left, and windows are with the workers: the run will go on from its last snapshot",
            "write: recording the end of the run",
          ])
      }
    }
  }

  /// The run cannot go on: its last hand-outs are put down all the same.
  @Test func aFailureIsWrittenDown() throws {
    var scene = try RunScene()
    scene.begin()
    _ = scene.at(1, .attemptEnded(.ended(1, .failed)))
    #expect(
      scene.at(1, .unitFailed(reason: "a shard is poison")) == [
        "write: recording the end of the run, 1 hand-outs"
      ])
    #expect(scene.written(1).first?.contains("a shard is poison") == true)
  }

  /// A step of which nothing is wanted is passed over, and committed like any other.
  @Test func aStepWithoutUse() throws {
    var scene = try RunScene {
      $0.tierUpdateFrequencies = [2, 4]
      $0.lossEvery = 10
    }
    _ = scene.restored(0)
    #expect(scene.written(0) == ["publish 2 tiers", "skip step 1"])
    #expect(scene.at(1, .applied(try scene.engine.skip(step: 1))) == ["write: committing step 1"])
    #expect(scene.written(1) == ["open step 2, tiers [0]"], "no worker is to be told")
  }

  /// Of an evaluation, which may have as many micro-batches as the disk holds, only those are made that a worker is sent.
  @Test func anEvaluationIsMadePieceByPiece() throws {
    let source = CountingRows()
    var cache = BatchCache(source)
    let unit = WorkUnit(purpose: .evaluate, step: 3, leafCount: 1000, dueTiers: [])
    #expect(cache.trainedTokens(of: unit) == 2000)
    #expect(cache.microBatches(of: unit, 4..<6).map(\.number) == [4, 5])
    #expect(cache.microBatches(of: unit, 998..<1024).map(\.number) == [998, 999])
    #expect(source.made.withLock { $0 } == [4, 5, 998, 999])
    let step = WorkUnit(purpose: .train, step: 2, leafCount: 2, dueTiers: [])
    #expect(cache.microBatches(of: step, 1..<4).map(\.number) == [1])
    #expect(cache.trainedTokens(of: step) == 4)
  }
}

private final class CountingRows: BatchSource {
  let made = Mutex<[Int]>([])

  func microBatches(step: Int) -> [AssignedMicroBatch] { (0..<2).map(Self.microBatch) }
  func evaluationTokens() -> [Int] { [Int](repeating: 2, count: 1000) }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch {
    made.withLock { $0.append(number) }
    return Self.microBatch(number)
  }

  private static func microBatch(_ number: Int) -> AssignedMicroBatch {
    AssignedMicroBatch(number: number, tokens: [1, 2, 3], offsets: [0, 3], labels: [2, 3, -100])
  }
}

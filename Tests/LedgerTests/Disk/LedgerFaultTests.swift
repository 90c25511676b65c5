import Foundation
import GRDB
import Simulation
import Testing

@testable import Ledger

/// Rows 6 and 7 of the fault matrix, for the ledger. The reference is the same sequence of calls on a disk without
/// faults: what the ledger holds must be what it held there before or after the call that was hit, and everything that
/// a call has returned for must be there, also when the power fails later.
@Suite(.serialized) struct LedgerFaultTests {
  /// A call on the ledger; each is one transaction.
  typealias Call = @Sendable (Ledger) throws -> Void

  /// What a run does to its ledger: the start of a term, workers, steps, an evaluation, files, a return, the end.
  static let calls: [Call] = {
    var calls: [Call] = [
      { _ = try $0.beginTerm() },
      { try $0.record(tiers: [tier(0, version: 0), tier(1, version: 0)]) },
      { try $0.record(worker: worker(1, term: 1)) },
    ]
    for number in 1...6 {
      calls.append { ledger in
        try ledger.commit(
          step(number), tiers: [tier(0, version: number)],
          assignments: (0..<3).map { handOut(3 * number + $0, term: 1, step: number) },
          notes: number == 2 ? [.joined(worker(2, term: 1))] : [],
          shardDigests: [
            ShardDigestRecord(
              firstMicroBatch: 0, lastMicroBatch: 3, tiers: [0], worker: 1,
              digest: [UInt8](repeating: UInt8(number), count: 16))
          ])
      }
      if number == 3 { calls += files(at: 3) }
    }
    calls += [
      { try $0.workerLeft(2, reason: "lost", at: noon) },
      { try $0.record(assignments: [], notes: [.quarantined(finding)]) },
      { _ = try $0.rollBack(to: 3, identity: finding.identity, firstUnverifiedStep: 4, at: noon) },
      { try $0.commit(step(4), tiers: [tier(0, version: 4)], assignments: [handOut(90, term: 1, step: 4)]) },
      { _ = try $0.rollUpAssignments() },
      { _ = try $0.rollBack(byHandTo: 3, at: noon) },
      { try $0.record(baseModelPath: "/moved", configuration: ["moved": true]) },
      { try $0.finish(.completed(reason: "all steps are done"), at: noon) },
    ]
    return calls
  }()

  private static let finding = QuarantineRecord(
    identity: "alpha/4711", term: 1, worker: 1, reason: "two others differ", at: noon)

  private static func files(at number: Int) -> [Call] {
    [
      {
        try $0.record(
          evaluation: EvaluationRecord(
            step: number, loss: 1.5, perplexity: 4.5, tokens: 64, isBest: true, seconds: 1, evaluatedAt: noon,
            metrics: ["step": .number(number)]))
      },
      {
        try $0.record(
          checkpoint: CheckpointRecord(
            path: "checkpoints/best", step: number, isBest: true, isFinal: false, bestValidationLoss: 1.5,
            writtenAt: noon))
      },
      { try $0.record(snapshot: SnapshotRecord(step: number, manifest: "m", bytes: 9, writtenAt: noon)) },
      { _ = try $0.pruneSnapshots(keeping: [number]) },
    ]
  }

  /// Everything in the ledger, as text.
  private func contents(_ ledger: Ledger) throws -> String {
    try ledger.read("") { db in
      let tables = try String.fetchAll(
        db, sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'grdb%' ORDER BY name"
      )
      return try tables.map { table in
        try "\(table)\n" + Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { "\($0)\n" }.joined()
      }.joined()
    }
  }

  /// A new ledger on a disk of its own, without a call made yet.
  private struct Bench {
    let folder: TemporaryFolder
    let volume: SimulatedVolume
    var path: String { folder.file("state.sqlite") }

    init(seed: UInt64) throws {
      folder = try TemporaryFolder()
      try Ledger.create(at: folder.file("state.sqlite"), run: demoRun).close()
      volume = SimulatedVolume(folder: folder.path, seed: seed)
      try volume.settle()
      try SimulatedVFS.mount(volume)
    }

    func remove() { SimulatedVFS.unmount(volume) }
  }

  /// What the ledger holds before the first call and after each, and how many operations of the disk that took.
  private func reference() throws -> (contents: [String], operations: Int) {
    let bench = try Bench(seed: 0)
    defer { bench.remove() }
    let ledger = try Ledger.open(at: bench.path)
    var all = [try contents(ledger)]
    for call in Self.calls {
      try call(ledger)
      all.append(try contents(ledger))
    }
    try ledger.close()
    return (all, bench.volume.counts.operations)
  }

  private func seed() -> UInt64 {
    let seed =
      ProcessInfo.processInfo.environment["NL_DISK_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 0...UInt64.max)
    print("NL_DISK_SEED=\(seed)")
    return seed
  }

  /// What the disk holds when the machine is back.
  private func afterPowerLoss(_ volume: SimulatedVolume, _ fate: SimulatedVolume.Fate?) throws -> String {
    let folder = try TemporaryFolder()
    try volume.recover(into: folder.path, fate)
    // A disk without faults, which spares the real one the syncs.
    let sound = SimulatedVolume(folder: folder.path, seed: 0)
    try SimulatedVFS.mount(sound)
    defer { SimulatedVFS.unmount(sound) }
    let ledger = try Ledger.open(at: folder.file("state.sqlite"))
    let check = try ledger.read("") { try String.fetchAll($0, sql: "PRAGMA integrity_check") }
    #expect(check == ["ok"])
    let text = try contents(ledger)
    try ledger.close()
    return text
  }

  /// Row 6: the power fails at the n-th operation, for every n.
  @Test func powerLossAtEveryOperation() throws {
    let (expected, operations) = try reference()
    let seed = seed()
    var states = Set<String>()
    for number in 1...operations {
      let bench = try Bench(seed: seed &+ UInt64(number))
      defer { bench.remove() }
      bench.volume.plan(.powerLoss, at: number)
      var done = 0
      do {
        let ledger = try Ledger.open(at: bench.path)
        for call in Self.calls {
          try call(ledger)
          done += 1
        }
        try ledger.close()
      } catch {}
      #expect(bench.volume.counts.hits == 1, "operation \(number)")
      let allowed = expected[done...min(done + 1, Self.calls.count)]
      for fate: SimulatedVolume.Fate? in [nil, nil, .applied, .dropped, .trashed] {
        let found = try afterPowerLoss(bench.volume, fate)
        #expect(allowed.contains(found), "operation \(number) of call \(done), pending writes \(fate as Any)")
        states.insert(found)
      }
    }
    print(
      "row 6: power loss at each of \(operations) operations, \(states.count) states of \(Set(expected).count)"
    )
    #expect(operations > 100 && states == Set(expected))
  }

  /// A sync fails, the process is killed, and the power fails while the next one opens the ledger: what that saw of the
  /// log, and what was on the disk, are not the same, and must not be mixed.
  @Test func powerLossAfterFailedSync() throws {
    let (expected, operations) = try reference()
    let seed = seed()
    var hits = 0
    for number in 1...operations {
      for later in stride(from: number % 13, to: 30, by: 13) {
        let bench = try Bench(seed: seed &+ UInt64(100 * number + later))
        defer { bench.remove() }
        bench.volume.plan(.syncError, at: number)
        var done = 0
        let ledger = try open(bench.path)
        guard bench.volume.counts.hits == 0 else { break }
        do {
          for call in Self.calls {
            if let ledger { try call(ledger) }
            done += 1
          }
        } catch {}
        guard bench.volume.counts.hits == 1, done < Self.calls.count else { break }
        hits += 1
        bench.volume.stop()
        try? ledger?.close()
        try bench.volume.start(losingPower: false)
        bench.volume.plan(.powerLoss, after: later)
        try? bench.volume.watching { try Ledger.open(at: bench.path).close() }
        let found = try afterPowerLoss(bench.volume, nil)
        #expect(
          expected[done...done + 1].contains(found),
          "sync \(number) failed in call \(done), and the power \(later) operations after the next start")
      }
    }
    print("row 6: power loss after a failed sync, \(hits) times")
    #expect(hits > 100)
  }

  /// A sync fails in the first call since the ledger was opened anew, and the power while it is opened anew once more, or
  /// closed: what the pool has committed by then may lack in the log, and what of it was moved may be half of a page.
  @Test(arguments: [false, true]) func powerLossWhileTheLogIsMoved(closes: Bool) throws {
    let (expected, _) = try reference()
    let seed = seed()
    var hits = 0
    for (place, call) in Self.calls.enumerated() {
      for later in 0..<12 {
        let bench = try Bench(seed: seed &+ UInt64(100 * place + later))
        defer { bench.remove() }
        let ledger = try Ledger.open(at: bench.path)
        for earlier in Self.calls[..<place] { try earlier(ledger) }
        try ledger.reopen()
        bench.volume.plan(.syncError, after: 0)
        do { try call(ledger) } catch {}
        guard bench.volume.counts.hits == 1 else { break }
        #expect(try contents(ledger) == expected[place])
        bench.volume.plan(.powerLoss, after: later)
        bench.volume.watching { if closes { try? ledger.close() } else { try? ledger.reopen() } }
        hits += bench.volume.counts.hits - 1
        bench.volume.stop()
        let found = try afterPowerLoss(bench.volume, nil)
        try? ledger.close()
        #expect(
          expected[place...place + 1].contains(found),
          "the sync of call \(place) failed, and the power \(later) operations after that")
      }
    }
    print("row 6: power loss after a failed sync, while the log is moved, \(hits) times")
    // Closing moves nothing once the connection has seen a fault.
    #expect(hits > (closes ? 20 : 100))
  }

  /// A sync fails, and whoever called goes on without a word: what is acknowledged later is there all the same when the
  /// power fails.
  @Test func goesOnAfterFailedSync() throws {
    let (expected, operations) = try reference()
    let seed = seed()
    var hits = 0
    for number in 1...operations {
      let bench = try Bench(seed: seed &+ UInt64(number))
      defer { bench.remove() }
      let ledger = try Ledger.open(at: bench.path)
      bench.volume.plan(.syncError, at: max(number, bench.volume.counts.operations + 1))
      for (place, call) in Self.calls.enumerated() {
        let before = bench.volume.counts.hits
        do { try call(ledger) } catch { try call(ledger) }
        guard bench.volume.counts.hits > before || place + 1 == Self.calls.count else { continue }
        hits += bench.volume.counts.hits - before
        for fate: SimulatedVolume.Fate? in [nil, .dropped] {
          #expect(
            try afterPowerLoss(bench.volume, fate) == expected[place + 1],
            "the sync \(number) failed, and call \(place) is lost with the power")
        }
      }
      try ledger.close()
    }
    print("row 7: gone on after \(hits) failed syncs")
    #expect(hits > 20)
  }

  /// Row 7: the n-th write finds no room, or fails, or the n-th sync fails, for every n. The call fails by name; once
  /// the ledger is reopened it goes through, and from then on a loss of power loses nothing that was acknowledged.
  @Test(arguments: [SimulatedVolume.Fault.full, .writeError, .syncError])
  func faultAtEveryOperation(fault: SimulatedVolume.Fault) throws {
    let (expected, operations) = try reference()
    let seed = seed()
    var hits = 0
    for number in 1...operations {
      let bench = try Bench(seed: seed &+ UInt64(number))
      defer { bench.remove() }
      // The disk stays as it is for a while, so that reopening fails too.
      bench.volume.plan(fault, at: number, times: 1 + number % 3)
      guard let ledger = try open(bench.path) else { continue }
      for (place, call) in Self.calls.enumerated() {
        let before = bench.volume.counts.hits
        try go(on: ledger, call, from: expected[place], to: expected[place + 1], "\(fault) \(number)")
        guard bench.volume.counts.hits > before || place + 1 == Self.calls.count else { continue }
        for fate: SimulatedVolume.Fate? in [nil, .dropped] {
          #expect(
            try afterPowerLoss(bench.volume, fate) == expected[place + 1],
            "\(fault) at operation \(number): call \(place) was acknowledged, and is lost with the power")
        }
      }
      try? ledger.close()
      hits += bench.volume.counts.hits
    }
    print("row 7: \(fault) at each of \(operations) operations, \(hits) failures")
    #expect(hits > 20)
  }

  /// Opening may be what is hit; nothing has been acknowledged then.
  private func open(_ path: String) throws -> Ledger? {
    for _ in 0..<10 {
      do { return try Ledger.open(at: path) } catch {
        guard (error as LedgerError).isDiskFault else { throw error }
      }
    }
    Issue.record("the ledger does not open any more")
    return nil
  }

  /// As the coordinator does it: reopen until that works, then try again unless it was done.
  private func go(
    on ledger: Ledger, _ call: Call, from before: String, to after: String, _ comment: String
  ) throws {
    for _ in 0..<10 {
      do {
        try call(ledger)
        #expect(try contents(ledger) == after, "\(comment)")
        return
      } catch {
        let error = try #require(error as? LedgerError)
        #expect(error.isDiskFault, "\(comment): \(error)")
        #expect("\(error)".contains("state.sqlite"), "\(comment): \(error)")
      }
      for _ in 0..<10 {
        do {
          try ledger.reopen()
          break
        } catch { #expect((error as LedgerError).isDiskFault, "\(comment): \(error)") }
      }
      #expect(try contents(ledger) == before, "\(comment): a call that failed has left something")
    }
    Issue.record("\(comment): the call does not go through any more")
  }
}

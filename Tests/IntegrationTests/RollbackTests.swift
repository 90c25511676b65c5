import Foundation
import Harness
import JSON
import Testing

/// Going on from what is left, and going back: snapshots that are damaged, `nl-coord rollback`, `resume --from-step`.
/// The reference is the same run, left alone.
@Suite(.serialized) struct RollbackTests {
  static let changes: [String: JSONValue] = [
    "num_steps": 60, "checkpoint_every": 20, "eval_every": 30, "keep_last_n_checkpoints": 2,
  ]

  static let reference = Result {
    let run = try TrainingRun(changes)
    try run.train()
    return (adapter: try run.adapterHash(), state: try run.stateDigest())
  }

  /// A finished run; it has snapshots of the steps 60 and 40 at least.
  private func finishedRun() throws -> TrainingRun {
    let run = try TrainingRun(Self.changes)
    try run.train()
    return run
  }

  private func expectSame(_ run: TrainingRun, _ comment: Comment) throws {
    let reference = try Self.reference.get()
    #expect(try run.adapterHash() == reference.adapter, comment)
    #expect(try run.stateDigest() == reference.state, comment)
    #expect(try run.metrics().map { $0["step"]?.int } == Array(1...60), comment)
    #expect(try rows(run.file("metrics/eval_metrics.jsonl")).map { $0["step"]?.int } == [30, 60], comment)
    let folders = try FileManager.default.contentsOfDirectory(atPath: run.file("checkpoints")).sorted()
    #expect(folders == ["best", "checkpoint_0000040", "checkpoint_0000060", "final"], comment)
    let check = try Program.coord.run(["status", run.folder, "--check"])
    #expect(check.status == 0, "\(comment) \(check.everything)")
  }

  // MARK: - Damage

  private func manifest(of step: Int, _ run: TrainingRun) throws -> String {
    let digest = try sqlite(run.file("state.sqlite"), "SELECT manifest FROM snapshots WHERE step = \(step)")
    return run.file("state/\(digest).json")
  }

  /// The steps of all snapshots, newest first: besides those of checkpoints, when others are taken depends on the time.
  private func snapshots(_ run: TrainingRun) throws -> [Int] {
    try sqlite(run.file("state.sqlite"), "SELECT step FROM snapshots ORDER BY step DESC").split(
      separator: "\n"
    )
    .compactMap { Int($0) }
  }

  /// The files of blobs that only the snapshot of step 60 has.
  private func blobsOfTheLast(_ run: TrainingRun) throws -> [String] {
    let digests = try snapshots(run).map { step in
      let text = try String(contentsOfFile: manifest(of: step, run), encoding: .utf8)
      return Set(try JSONValue(parsing: text)["blobs"]?.array?.compactMap { $0["sha256"]?.string } ?? [])
    }
    return try #require(digests.first).subtracting(digests.dropFirst().joined()).sorted().map {
      run.file("state/\($0).blob")
    }
  }

  private func flipABit(_ path: String) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: 0)
    try file.write(contentsOf: Data([byte ^ 1]))
    try file.close()
  }

  enum Damage: String, CaseIterable {
    case manifestFlipped, manifestGone, blobFlipped, blobGone, blobCut, blobIsAFolder
  }

  @Test(arguments: Damage.allCases) func aDamagedSnapshotIsNotNeeded(damage: Damage) throws {
    let run = try finishedRun()
    let (manifest, blob) = (try manifest(of: 60, run), try #require(try blobsOfTheLast(run).first))
    let before = try #require(try snapshots(run).dropFirst().first)
    switch damage {
    case .manifestFlipped: try flipABit(manifest)
    case .manifestGone: try FileManager.default.removeItem(atPath: manifest)
    case .blobFlipped: try flipABit(blob)
    case .blobGone: try FileManager.default.removeItem(atPath: blob)
    case .blobCut: try FileHandle(forUpdating: URL(fileURLWithPath: blob)).truncate(atOffset: 3)
    case .blobIsAFolder:
      try FileManager.default.removeItem(atPath: blob)
      try FileManager.default.createDirectory(atPath: blob, withIntermediateDirectories: false)
    }
    let check = try Program.coord.run(["status", run.folder, "--check"])
    #expect(check.status == 1 && check.output.contains("snapshot of step 60: /"), "\(check.everything)")
    #expect(try Program.coord.run(["status", run.folder]).status == 0)

    let result = try run.resume()
    #expect(result.errors.contains("the snapshot of step 60 is damaged: "), "\(result.errors)")
    let file = [.manifestFlipped, .manifestGone].contains(damage) ? manifest : blob
    #expect(result.errors.contains(file), "\(result.errors)")
    #expect(result.errors.contains("the run goes on from step \(before)"), "\(result.errors)")
    try expectSame(run, "\(damage)")
  }

  /// Without any snapshot the run is computed again from the start.
  @Test func allSnapshotsAreDamaged() throws {
    let run = try finishedRun()
    for name in try FileManager.default.contentsOfDirectory(atPath: run.file("state"))
    where name.hasSuffix(".json") {
      try flipABit(run.file("state/\(name)"))
    }
    let result = try run.resume()
    #expect(result.errors.contains("the run goes on from the start"), "\(result.errors)")
    try expectSame(run, "from the start")
  }

  /// Files that the ledger can give again.
  @Test func otherDamagedFilesAreNotNeeded() throws {
    let run = try finishedRun()
    let metrics = run.file("metrics/train_metrics.jsonl")
    try FileManager.default.removeItem(atPath: metrics)
    try FileManager.default.createDirectory(atPath: metrics, withIntermediateDirectories: false)
    try Data([0xFF, 0, 0x0A]).write(to: URL(fileURLWithPath: run.file("metrics/eval_metrics.jsonl")))
    try Data("{\"num_".utf8).write(to: URL(fileURLWithPath: run.file("config.json")))
    try Data("no address".utf8).write(to: URL(fileURLWithPath: run.file("coordinator")))
    try Data("x".utf8).write(
      to: URL(fileURLWithPath: run.file("checkpoints/checkpoint_0000040/metadata.json")))
    #expect(try Program.coord.run(["status", run.folder, "--check"]).status == 1)
    let result = try run.resume(["--from-step", "40"])
    #expect(result.errors.contains("config.json was written anew from the ledger"), "\(result.errors)")
    #expect(result.errors.contains("train_metrics.jsonl"), "\(result.errors)")
    let reference = try Self.reference.get()
    #expect(try run.adapterHash() == reference.adapter)
    #expect(try run.metrics().map { $0["step"]?.int } == Array(1...60))
  }

  // MARK: - By hand

  private func returns(_ run: TrainingRun) throws -> String {
    try sqlite(run.file("state.sqlite"), "SELECT reason, from_step, to_step, voided_steps FROM returns")
  }

  @Test func rollbackToACheckpoint() throws {
    let run = try finishedRun()
    let list = try Program.coord.run(["rollback", run.folder, "--list"]).expectSuccess().output
    #expect(
      list.contains("Step 40: snapshot, checkpoint_0000040\n") && list.contains("Step 0: the start"),
      "\(list)")
    let result = try Program.coord.run(["rollback", run.folder, "--to-step", "40"]).expectSuccess()
    #expect(result.output.contains("Went back from step 60 to step 40"), "\(result.everything)")
    #expect(try returns(run) == "by hand|60|40|20")
    #expect(try run.metrics().count == 40)
    let status = try JSONValue(parsing: Program.coord.run(["status", run.folder, "--json"]).output)
    #expect(status["state"] == "stopped" && status["step"] == 40, "\(status.text)")
    try run.resume()
    try expectSame(run, "after a return to step 40")
  }

  @Test(arguments: [0, 40]) func resumeFromAStep(step: Int) throws {
    let run = try finishedRun()
    let result = try run.resume(["--from-step", "\(step)", "--local-workers", "2"])
    #expect(result.output.contains("Went back from step 60 to step \(step)"), "\(result.everything)")
    #expect(try returns(run) == "by hand|60|\(step)|\(60 - step)")
    try expectSame(run, "from step \(step)")
  }

  /// Nothing is changed, and the steps that there are are named; also for one whose snapshot is damaged.
  @Test func impossibleSteps() throws {
    let run = try finishedRun()
    let steps = try snapshots(run).map(String.init).joined(separator: ", ")
    for (step, reason) in [(41, "there is no snapshot of it"), (61, "its last step is 60")] {
      for command in [["rollback", run.folder, "--to-step"], ["resume", run.folder, "--from-step"]] {
        let result = try Program.coord.run(command + ["\(step)"])
        #expect(result.status != 0)
        #expect(result.errors.contains(reason), "\(result.errors)")
        #expect(result.errors.contains("it can go back to step \(steps), 0"), "\(result.errors)")
      }
    }
    try flipABit(try manifest(of: 40, run))
    let result = try Program.coord.run(["rollback", run.folder, "--to-step", "40"])
    #expect(result.status != 0 && result.errors.contains("is damaged"), "\(result.errors)")
    #expect(try returns(run).isEmpty)
    #expect(try sqlite(run.file("state.sqlite"), "SELECT state, term FROM runs") == "completed|1")
    #expect(try run.metrics().count == 60)
    #expect(try run.adapterHash() == Self.reference.get().adapter)
  }

  @Test func notWhileACoordinatorIsAtWork() throws {
    let run = try TrainingRun(Self.changes)
    let coordinator = try run.start(environment: DiskTests.slowly)
    #expect(waitUntil(seconds: 60) { run.step >= 3 }, "\(coordinator.errors)")
    let result = try Program.coord.run(["rollback", run.folder, "--to-step", "0"])
    #expect(
      result.status != 0 && result.errors.contains("another coordinator works on this run"),
      "\(result.errors)")
    #expect(try coordinator.wait().status == 0)
    #expect(try run.adapterHash() == Self.reference.get().adapter)
  }
}

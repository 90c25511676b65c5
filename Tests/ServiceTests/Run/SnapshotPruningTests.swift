import Files
import Foundation
import Glibc
import Harness
import Ledger
import Logging
import NestedLearning
import Testing
import Training

@testable import Service

/// Old snapshots are deleted after a new one is written. A disk that fails while they are looked at, or deleted, loses none
/// that the ledger names, and what was put off is done with the next one: the reference is what a sound disk has in the end.
@Suite struct SnapshotPruningTests {
  private final class Writer {
    private let folder: RunTestFolder
    let run: OpenRun
    private let engine: StepEngine

    init() throws {
      folder = try RunTestFolder(inMemory: true)
      var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
      config.numTiers = 1
      config.tierUpdateFrequencies = [1]
      let scheduler = try ParameterTierScheduler(
        config: config, parameters: [TrainableParameter(name: "p", module: "m", layer: 0, count: 2)])
      engine = StepEngine(
        state: try NestedTrainerState(
          config: config, scheduler: scheduler, parameters: ["p": [1, 2]], shapes: ["p": [2]]))
      run = try OpenRun(
        folder: RunFolder.create(outputPath: folder.path, run: runRecord("e")), config: config,
        options: RunOptions(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    func snapshot(of step: Int) throws {
      var progress = RunProgress()
      progress.applied(step: step)
      try run.writeSnapshot(engine: engine, progress: progress, withDigest: false)
    }

    /// The steps that the ledger has snapshots of, each of which can be read, and how many files there are.
    func left() throws -> (steps: [Int], files: Int) {
      let records = try run.ledger.snapshots()
      for record in records {
        let snapshot = try run.snapshots.open(record.manifest)
        for blob in snapshot.blobs { _ = try snapshot.bytes(of: blob.name) }
      }
      return (records.map(\.step), try FileSystem.names(in: run.folder.stateFolder).count)
    }

    /// Makes one kind of change fail while `work` runs.
    func failing(
      _ code: Int32, _ fails: @escaping @Sendable (FileSystem.Change) -> Bool, _ work: () throws -> Void
    ) throws {
      try FileSystem.$watcher.withValue(FileSystem.Watcher { fails($0) ? code : nil }, operation: work)
    }
  }

  /// What ten snapshots leave on a sound disk, and eleven.
  private func reference() throws -> [(steps: [Int], files: Int)] {
    let writer = try Writer()
    for step in 1...10 { try writer.snapshot(of: step) }
    let ten = try writer.left()
    try writer.snapshot(of: 11)
    return [ten, try writer.left()]
  }

  @Test func deletingFails() throws {
    let reference = try reference()
    for code in [EIO, EROFS, ETIMEDOUT] {
      let writer = try Writer()
      for step in 1...9 { try writer.snapshot(of: step) }
      var fault: DiskFault?
      let isRemoval: @Sendable (FileSystem.Change) -> Bool = { if case .remove = $0 { true } else { false } }
      try writer.failing(code, isRemoval) {
        do { try writer.snapshot(of: 10) } catch { fault = DiskFault(error) }
      }
      // The run is paused by that name, and does the same once more.
      #expect(fault?.cause == .disk, "\(code)")
      #expect(try writer.left().steps.first == 10, "\(code)")
      try writer.snapshot(of: 10)
      #expect(try writer.left() == reference[0], "\(code)")
    }
  }

  @Test func readingFails() throws {
    let reference = try reference()
    let writer = try Writer()
    for step in 1...9 { try writer.snapshot(of: step) }
    let before = try writer.left()
    let old = try #require(try writer.run.ledger.snapshots().last)
    let path = writer.run.snapshots.manifestPath(old.manifest)
    let isOld: @Sendable (FileSystem.Change) -> Bool = { $0 == .read(path) }

    // A part of the disk that cannot be read now may be readable later: nothing is deleted, and nothing held up.
    try writer.failing(EIO, isOld) { try writer.snapshot(of: 10) }
    let meanwhile = try writer.left()
    #expect(meanwhile.steps == [10] + before.steps)
    #expect(meanwhile.files >= before.files)

    // A volume that does not answer pauses the run.
    try writer.failing(ETIMEDOUT, isOld) {
      do {
        try writer.snapshot(of: 11)
        Issue.record("the snapshot was written although the volume did not answer")
      } catch { #expect(DiskFault(error)?.cause == .disk) }
    }
    try writer.snapshot(of: 11)
    let left = try writer.left()
    #expect(left.steps.prefix(2) == [11, 10])
    // Which of the older ones stay depends on which there were.
    #expect(left.steps.count <= reference[1].steps.count, "\(left) instead of \(reference[1])")
    #expect(left.files <= reference[1].files, "\(left) instead of \(reference[1])")
  }

  /// One that is damaged leaves the record, and so do its files.
  @Test func oneIsDamaged() throws {
    let writer = try Writer()
    for step in 1...9 { try writer.snapshot(of: step) }
    let old = try #require(try writer.run.ledger.snapshots().last)
    try AtomicFile.write(Array("{}".utf8), to: writer.run.snapshots.manifestPath(old.manifest))
    try writer.snapshot(of: 10)
    #expect(try !writer.left().steps.contains(old.step))
    #expect(FileSystem.kind(writer.run.snapshots.manifestPath(old.manifest)) == nil)
  }
}

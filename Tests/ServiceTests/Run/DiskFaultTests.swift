import Files
import Foundation
import Harness
import JSON
import Ledger
import Simulation
import Testing

@testable import Service

/// Rows 6 and 7 of the fault matrix, for the files of a run: snapshots, checkpoints, metrics, and files that are replaced.
/// The reference is what the code promises: what was acknowledged is there, whole; what was not is as before or as after.
@Suite(.serialized) struct DiskFaultTests {
  private func seed() -> UInt64 {
    let seed =
      ProcessInfo.processInfo.environment["NL_DISK_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 0...UInt64.max)
    print("NL_DISK_SEED=\(seed)")
    return seed
  }

  /// A folder whose contents are on the disk.
  private func volume(_ folder: String, _ seed: UInt64) throws -> SimulatedVolume {
    let volume = SimulatedVolume(folder: folder, seed: seed)
    try volume.settle()
    return volume
  }

  /// Runs `work` on a volume of its own, cutting the power at every change in turn, then looks at what is left.
  ///
  /// - Parameter before: what is on the disk before.
  private func cutPowerEverywhere(
    _ what: String, before: (String) throws -> Void, _ work: (String) throws -> Void,
    check: (_ folder: String, _ done: Bool, _ comment: Comment) throws -> Void
  ) throws {
    let seed = seed()
    var number = 0
    while true {
      number += 1
      let folder = try RunTestFolder(inMemory: true)
      try before(folder.path)
      let volume = try volume(folder.path, seed &+ UInt64(number))
      volume.plan(.powerLoss, at: number)
      var done = false
      try? volume.watching {
        try work(folder.path)
        done = true
      }
      for _ in 0..<8 {
        let left = try RunTestFolder(inMemory: true)
        try volume.recover(into: left.path)
        try withExtendedLifetime(left) {
          try check(left.path, done, "\(what), change \(number) of seed \(seed)")
        }
      }
      if volume.counts.hits == 0 { break }
    }
    print("row 6: \(what), power loss at each of \(number - 1) changes")
    #expect(number > 3)
  }

  /// The same with one change that fails; the work is tried again, and then the power goes.
  private func failEverywhere(
    _ what: String, before: (String) throws -> Void, _ work: (String) throws -> Void,
    check: (_ folder: String, _ done: Bool, _ comment: Comment) throws -> Void
  ) throws {
    let seed = seed()
    var count = 0
    for fault in [SimulatedVolume.Fault.full, .writeError, .syncError] {
      var number = 0
      while true {
        number += 1
        let folder = try RunTestFolder(inMemory: true)
        try before(folder.path)
        let volume = try volume(folder.path, seed &+ UInt64(number))
        volume.plan(fault, at: number)
        try volume.watching {
          do { try work(folder.path) } catch {
            let fault = try #require(DiskFault(error), "\(what): \(error)")
            #expect("\(fault)".contains(folder.path), "the fault names what was written: \(fault)")
            try work(folder.path)
          }
        }
        if volume.counts.hits == 0 { break }
        count += 1
        for _ in 0..<4 {
          let left = try RunTestFolder(inMemory: true)
          try volume.recover(into: left.path)
          try withExtendedLifetime(left) {
            try check(left.path, true, "\(what), \(fault) at change \(number) of seed \(seed)")
          }
        }
      }
    }
    print("row 7: \(what), \(count) failures")
    #expect(count > 3)
  }

  // MARK: - Files

  private func replace(_ folder: String) throws {
    try AtomicFile.write([UInt8](repeating: 2, count: 3000), to: folder + "/file")
  }

  private func checkFile(_ folder: String, _ done: Bool, _ comment: Comment) throws {
    let bytes = try AtomicFile.read(folder + "/file")
    let (old, new) = ([UInt8](repeating: 1, count: 2000), [UInt8](repeating: 2, count: 3000))
    #expect(bytes == new || (!done && bytes == old), comment)
  }

  /// A folder whose name could not be synced is made once more: after that it is there, whatever happens.
  @Test func folder() throws {
    let work = { (folder: String) in try FileSystem.makeFolders(folder + "/a/b") }
    let check = { (folder: String, done: Bool, comment: Comment) in
      #expect(!done || FileSystem.kind(folder + "/a/b") == .folder, comment)
    }
    try cutPowerEverywhere("a folder", before: { _ in }, work, check: check)
    try failEverywhere("a folder", before: { _ in }, work, check: check)
  }

  @Test func replacedFile() throws {
    let before = { (folder: String) in
      try AtomicFile.write([UInt8](repeating: 1, count: 2000), to: folder + "/file")
    }
    try cutPowerEverywhere("a replaced file", before: before, replace, check: checkFile)
    try failEverywhere("a replaced file", before: before, replace, check: checkFile)
  }

  // MARK: - Snapshots

  private static let tensors: [(String, [Float])] = [("a", [1, 2, 3]), ("b", [4]), ("c", [])]

  private func saveFirst(_ folder: String) throws {
    _ = try save(1, [("a", [1, 2, 3]), ("b", [0])], in: folder, recorded: [])
  }

  @discardableResult private func save(
    _ step: Int, _ blobs: [(String, [Float])], in folder: String, recorded: [SnapshotBlob]
  ) throws -> SnapshotRecord {
    var writer = SnapshotStore(folder: folder).begin(step: step, recorded: recorded)
    for (name, values) in blobs { try writer.add(name, floats: values) }
    return try writer.finish(state: ["step": .number(step)])
  }

  /// A second snapshot, which has one blob of the first; the ledger hears of it once it is written.
  @Test func snapshot() throws {
    let scratch = try RunTestFolder(inMemory: true)
    let first = try save(1, [("a", [1, 2, 3]), ("b", [0])], in: scratch.path, recorded: [])
    let recorded = try SnapshotStore(folder: scratch.path).open(first.manifest).blobs
    let second = try save(2, Self.tensors, in: scratch.path, recorded: recorded)
    let work = { (folder: String) in
      _ = try save(2, Self.tensors, in: folder, recorded: recorded)
      try SnapshotStore(folder: folder).prune(keeping: [second.manifest])
    }
    let check = { (folder: String, done: Bool, comment: Comment) in
      // Whichever the ledger names is whole; the first may be gone once the second was written.
      let store = SnapshotStore(folder: folder)
      let found = try? store.open(second.manifest)
      let values = try found?.blobs.map { try found?.floats(of: $0.name) ?? [] }
      if done { #expect(values == Self.tensors.map(\.1), comment) }
      guard !done, (try? isWhole(store, second)) != true else { return }
      #expect(try store.open(first.manifest).floats(of: "a") == [1, 2, 3], comment)
      #expect(try store.open(first.manifest).floats(of: "b") == [0], comment)
    }
    try cutPowerEverywhere("a snapshot", before: saveFirst, work, check: check)
    try failEverywhere("a snapshot", before: saveFirst, work, check: check)
  }

  /// Whether the second snapshot is whole; pruning of the first begins only then.
  private func isWhole(_ store: SnapshotStore, _ record: SnapshotRecord) throws -> Bool {
    let snapshot = try store.open(record.manifest)
    for blob in snapshot.blobs { _ = try snapshot.bytes(of: blob.name) }
    return true
  }

  // MARK: - Checkpoints

  private func checkpoint(_ step: Int, in folder: String) throws {
    let writer = CheckpointWriter(folder: folder, keepLast: 2, saveBestOnly: false)
    let metadata = CheckpointMetadata(
      step: step, experimentName: "demo", isBest: true, isFinal: false, bestValidationLoss: 1,
      configuration: [:], tierStatistics: [:], timestamp: "2026-11-21T00:00:00.000Z")
    _ = try writer.write(.best, metadata: metadata) { folder in
      try FileSystem.makeFolder(folder + "/peft")
      try AtomicFile.write([UInt8](repeating: UInt8(step), count: 100), to: folder + "/adapters.safetensors")
      try AtomicFile.write([UInt8(step)], to: folder + "/peft/adapter_model.safetensors")
    }
  }

  /// The best checkpoint is replaced: after a start anew one of the two is there, whole.
  @Test func checkpoint() throws {
    let check = { (folder: String, done: Bool, comment: Comment) in
      try CheckpointWriter.recover(folder)
      let step = CheckpointWriter(folder: folder, keepLast: 2, saveBestOnly: false).writtenStep("best")
      #expect(step == 2 || (!done && step == 1), comment)
      let bytes = try? AtomicFile.read(folder + "/best/adapters.safetensors")
      #expect(bytes == step.map { [UInt8](repeating: UInt8($0), count: 100) }, comment)
      #expect(
        (try? AtomicFile.read(folder + "/best/peft/adapter_model.safetensors")) == step.map { [UInt8($0)] },
        comment)
    }
    let before = { (folder: String) in try checkpoint(1, in: folder) }
    let work = { (folder: String) in try checkpoint(2, in: folder) }
    try cutPowerEverywhere("a checkpoint", before: before, work, check: check)
    try failEverywhere("a checkpoint", before: before, work, check: check)
  }

  // MARK: - Metrics

  private func row(_ step: Int) -> JSONValue { ["step": .number(step), "loss": .number(1 / Double(step))] }

  private func rows(after step: Int) -> [(step: Int, row: JSONValue)] {
    (1...9).filter { $0 > step }.map { ($0, row($0)) }
  }

  /// Rows of steps that the ledger has; after a start anew every one is there once.
  @Test func metrics() throws {
    let text = rows(after: 0).map { $0.row.text + "\n" }.joined()
    let work = { (folder: String) in
      let log = try MetricsLog(path: folder + "/m.jsonl", lastCommitted: 3) { rows(after: $0) }
      for (step, row) in rows(after: 3) { try log.append(row, step: step) }
      // As the coordinator does it: the same log is tried again.
      do { try log.synchronize() } catch { try log.synchronize() }
    }
    let check = { (folder: String, done: Bool, comment: Comment) in
      if done {
        #expect((try? String(contentsOfFile: folder + "/m.jsonl", encoding: .utf8)) == text, comment)
      }
      _ = try MetricsLog(path: folder + "/m.jsonl", lastCommitted: 9) { rows(after: $0) }
      #expect(try String(contentsOfFile: folder + "/m.jsonl", encoding: .utf8) == text, comment)
    }
    let before = { (folder: String) in try Data().write(to: URL(fileURLWithPath: folder + "/m.jsonl")) }
    try cutPowerEverywhere("metrics", before: before, work, check: check)
    try failEverywhere("metrics", before: before, work, check: check)
  }
}

import Digests
import Files
import Foundation
import Harness
import JSON
import Ledger
import Testing
import WireProtocol

@testable import Service

/// What a snapshot store promises: what was stored comes back to the bit, or an error names what is damaged.
@Suite struct SnapshotStoreTests {
  let folder: RunTestFolder
  let store: SnapshotStore

  init() throws {
    folder = try RunTestFolder()
    store = SnapshotStore(folder: folder.path)
  }

  private func save(_ step: Int, _ blobs: [(String, [Float])]) throws -> SnapshotRecord {
    var writer = store.begin(step: step)
    for (name, values) in blobs { try writer.add(name, floats: values) }
    return try writer.finish(state: ["cursor": .number(10 * step), "best_loss": 0.1])
  }

  @Test func roundTrip() throws {
    let values: [Float] = [0, -0.0, 1.5, .leastNonzeroMagnitude, -.infinity, .nan, .pi]
    let record = try save(7, [("tier.0", values), ("empty", [])])
    #expect(record.step == 7)
    let snapshot = try store.open(record.manifest)
    #expect(snapshot.step == 7)
    #expect(snapshot.state == ["cursor": 70, "best_loss": 0.1])
    #expect(snapshot.blobs.map(\.name) == ["tier.0", "empty"])
    #expect(try snapshot.floats(of: "tier.0").map(\.bitPattern) == values.map(\.bitPattern))
    #expect(try snapshot.floats(of: "empty") == [])
    #expect(try snapshot.bytes(of: "tier.0").prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0xC0, 0x3F])
    #expect(errorText { _ = try snapshot.bytes(of: "tier.1") }.contains("no blob tier.1"))
    let bytes = try folder.files().reduce(0) { try $0 + AtomicFile.read(folder.file($1)).count }
    #expect(record.bytes == bytes)
  }

  @Test func whatDidNotChangeIsStoredOnce() throws {
    let first = try save(1, [("a", [1, 2]), ("b", [3])])
    let second = try save(2, [("a", [1, 2]), ("b", [4])])
    #expect(first.manifest != second.manifest)
    #expect(folder.files().filter { $0.hasSuffix(".blob") }.count == 3)
    // A replay of step 2 writes the same files.
    #expect(try save(2, [("a", [1, 2]), ("b", [4])]).manifest == second.manifest)
    #expect(folder.files().count == 5)
  }

  @Test func pruningKeepsWhatIsReferenced() throws {
    let records = try (1...4).map { try save($0, [("same", [9]), ("own", [Float($0)])]) }
    #expect(try store.prune(keeping: [records[3].manifest, records[2].manifest]) == 4)
    #expect(folder.files().count == 5)
    for record in records.suffix(2) {
      let snapshot = try store.open(record.manifest)
      #expect(try snapshot.floats(of: "own") == [Float(record.step)])
      #expect(try snapshot.floats(of: "same") == [9])
    }
    #expect(errorText { _ = try store.open(records[0].manifest) }.contains(records[0].manifest))
  }

  @Test func pruningStopsAtAManifestThatCannotBeRead() throws {
    let record = try save(1, [("a", [1])])
    let before = folder.files()
    #expect(throws: SnapshotError.self) { try store.prune(keeping: [String(repeating: "0", count: 64)]) }
    #expect(folder.files() == before)
    #expect(try store.open(record.manifest).floats(of: "a") == [1])
  }

  /// One bit flipped in each file in turn, at a position that a seed chooses.
  @Test func damageIsNamed() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    let record = try save(3, [("tier.0", [1, 2, 3]), ("tier.1", [4, 5])])
    for file in folder.files() {
      let good = try AtomicFile.read(folder.file(file))
      var bad = good
      let bit = Int(seed % UInt64(8 * good.count))
      bad[bit / 8] ^= 1 << (bit % 8)
      try AtomicFile.write(bad, to: folder.file(file))
      let text = errorText {
        let snapshot = try store.open(record.manifest)
        for blob in snapshot.blobs { _ = try snapshot.bytes(of: blob.name) }
      }
      #expect(text.contains(file) && text.contains("damaged"), "seed \(seed)")
      #expect(text.contains(file.hasSuffix(".json") ? "manifest" : "tier."), "seed \(seed)")
      try AtomicFile.write(good, to: folder.file(file))
    }
    // Saving again mends a blob that is damaged.
    let blob = try #require(folder.files().first { $0.hasSuffix(".blob") })
    try AtomicFile.write([0], to: folder.file(blob))
    _ = try save(3, [("tier.0", [1, 2, 3]), ("tier.1", [4, 5])])
    #expect(try store.open(record.manifest).floats(of: "tier.0") == [1, 2, 3])
    #expect(try store.open(record.manifest).floats(of: "tier.1") == [4, 5])
  }

  /// The digest is right, the contents are not.
  @Test(arguments: [
    "[]", "{", "{\"format\": 2, \"step\": 1, \"state\": {}, \"blobs\": []}", "{\"format\": 1, \"step\": 1}",
    "{\"format\": 1, \"step\": 1, \"state\": {}, \"blobs\": [{\"name\": \"a\", \"bytes\": 1, \"sha256\": \"../../x\"}]}",
  ]) func refusesAManifestOfAnotherForm(text: String) throws {
    let digest = Array(text.utf8).withUnsafeBytes { Digest.sha256($0) }
    try folder.write(text, to: digest + ".json")
    #expect(errorText { _ = try store.open(digest) }.contains("not the manifest of a snapshot"))
  }

  @Test func refusesTwoBlobsOfOneName() throws {
    var writer = store.begin(step: 1)
    try writer.add("a", floats: [1])
    #expect(throws: SnapshotError.self) { try writer.add("a", floats: [2]) }
  }

  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func aFullDiskLeavesTheOldSnapshotWhole() throws {
    let volume = try #require(SmallVolume(kibibytes: 256))
    let store = SnapshotStore(folder: volume.path)
    var writer = store.begin(step: 1)
    try writer.add("a", floats: [Float](repeating: 1, count: 10_000))
    let record = try writer.finish(state: nil)
    let before = try FileSystem.names(in: volume.path)

    var second = store.begin(step: 2)
    #expect {
      try second.add("a", floats: [Float](repeating: 2, count: 100_000))
    } throws: { ($0 as? SnapshotError)?.isDiskFull == true && "\($0)".contains("free some space") }
    #expect(try FileSystem.names(in: volume.path) == before)
    #expect(try store.open(record.manifest).floats(of: "a").count == 10_000)
  }
}

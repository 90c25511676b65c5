import Files
import Foundation
import Harness
import JSON
import Testing

@testable import Service

/// A checkpoint folder exists whole or not at all (Sources/README.md, "Output of a run").
@Suite struct CheckpointWriterTests {
  let folder: RunTestFolder

  init() throws { folder = try RunTestFolder() }

  private func writer(keepLast: Int = 5, saveBestOnly: Bool = false) -> CheckpointWriter {
    CheckpointWriter(folder: folder.path, keepLast: keepLast, saveBestOnly: saveBestOnly)
  }

  private func metadata(_ step: Int) -> CheckpointMetadata {
    CheckpointMetadata(
      step: step, experimentName: "demo", isBest: false, isFinal: false, bestValidationLoss: nil,
      configuration: ["seed": 42], tierStatistics: ["global_step": .number(step)],
      timestamp: "2026-11-21T00:00:00.000Z")
  }

  @Test func writesContentAndMetadata() throws {
    let path = try writer().write(.step(100), metadata: metadata(100)) { folder in
      try FileSystem.makeFolder(folder + "/peft")
      try AtomicFile.write([1, 2], to: folder + "/adapters.safetensors")
      try AtomicFile.write([3], to: folder + "/peft/adapter_model.safetensors")
    }
    #expect(path == folder.file("checkpoint_0000100"))
    #expect(
      folder.files() == [
        "checkpoint_0000100", "checkpoint_0000100/adapters.safetensors", "checkpoint_0000100/metadata.json",
        "checkpoint_0000100/peft", "checkpoint_0000100/peft/adapter_model.safetensors",
      ])
    let json = try JSONValue(parsing: folder.text("checkpoint_0000100/metadata.json"))
    #expect(
      json == [
        "step": 100, "experiment_name": "demo", "is_best": false, "is_final": false, "best_val_loss": nil,
        "config": ["seed": 42], "tier_stats": ["global_step": 100], "warnings": [],
        "timestamp": "2026-11-21T00:00:00.000Z",
      ])
  }

  @Test func replacesTheWholeFolder() throws {
    _ = try writer().write(.best, metadata: metadata(1)) { try AtomicFile.write([1], to: $0 + "/old") }
    _ = try writer().write(.best, metadata: metadata(2)) { try AtomicFile.write([2], to: $0 + "/new") }
    #expect(folder.files() == ["best", "best/metadata.json", "best/new"])
    #expect(try JSONValue(parsing: folder.text("best/metadata.json"))["step"] == 2)
  }

  @Test func aFailureLeavesTheOldOne() throws {
    struct Broken: Error {}
    _ = try writer().write(.final, metadata: metadata(1)) { try AtomicFile.write([1], to: $0 + "/file") }
    let before = folder.files()
    #expect {
      try writer().write(.final, metadata: metadata(2)) { folder in
        try AtomicFile.write([2], to: folder + "/file")
        throw Broken()
      }
    } throws: { "\($0)".contains(folder.file("final")) && "\($0)".contains("Broken") }
    #expect(folder.files() == before)
    #expect(try AtomicFile.read(folder.file("final/file")) == [1])
  }

  @Test func keepsTheLastSteps() throws {
    let writer = writer(keepLast: 2)
    for step in [100, 200, 9_999_999, 10_000_000] {
      _ = try writer.write(.step(step), metadata: metadata(step)) { _ in }
    }
    _ = try writer.write(.best, metadata: metadata(100)) { _ in }
    try FileSystem.makeFolder(folder.file("checkpoint_mine"))
    try FileSystem.makeFolder(folder.file("checkpoint_1"))
    #expect(try writer.prune() == ["checkpoint_0000100", "checkpoint_0000200"])
    #expect(
      try FileSystem.names(in: folder.path) == [
        "best", "checkpoint_1", "checkpoint_10000000", "checkpoint_9999999", "checkpoint_mine",
      ])
    #expect(try writer.prune() == [])
  }

  @Test func bestOnlyLeavesOutTheSteps() throws {
    let writer = writer(saveBestOnly: true)
    #expect(try writer.write(.step(1), metadata: metadata(1)) { _ in } == nil)
    #expect(try writer.write(.best, metadata: metadata(1)) { _ in } == folder.file("best"))
    #expect(try writer.write(.final, metadata: metadata(1)) { _ in } == folder.file("final"))
    #expect(try FileSystem.names(in: folder.path) == ["best", "final"])
  }

  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func aFullDiskLeavesTheOldOne() throws {
    let volume = try #require(SmallVolume(kibibytes: 256))
    let writer = CheckpointWriter(folder: volume.path + "/checkpoints", keepLast: 5, saveBestOnly: false)
    let small = [UInt8](repeating: 1, count: 50_000)
    _ = try writer.write(.best, metadata: metadata(1)) { try AtomicFile.write(small, to: $0 + "/weights") }

    // Both by our own writer and by one whose error only quotes the system.
    struct Quoted: Error, CustomStringConvertible { let description: String }
    let large = [UInt8](repeating: 2, count: 500_000)
    for quotes in [false, true] {
      #expect {
        try writer.write(.best, metadata: metadata(2)) { folder in
          do {
            try AtomicFile.write(large, to: folder + "/weights")
          } catch {
            throw quotes ? Quoted(description: "\(error)") : error
          }
        }
      } throws: { error in
        let error = error as? CheckpointError
        return error?.isDiskFull == true
          && error?.description.hasPrefix(
            "the checkpoint \(volume.path)/checkpoints/best could not be written") == true
          && error?.description.contains("free some space on this volume") == true
      }
      #expect(try FileSystem.names(in: volume.path + "/checkpoints") == ["best"])
      #expect(try AtomicFile.read(volume.path + "/checkpoints/best/weights") == small)
    }
  }
}

import Foundation
import Harness
import JSON
import Ledger
import Testing

@testable import Service

/// The run folder as Sources/README.md has it ("Output of a run").
@Suite struct RunFolderTests {
  let folder: RunTestFolder

  init() throws { folder = try RunTestFolder() }

  @Test func appearsWithItsConfigurationAndLedger() throws {
    let run = try RunFolder.create(outputPath: folder.file("deep/runs"), run: runRecord("demo"))
    #expect(run.path == folder.file("deep/runs/demo"))
    #expect(try run.configuration() == ["experiment_name": "demo"])
    #expect(try run.openLedger().status().run.experimentName == "demo")
    #expect(
      folder.files() == [
        "deep", "deep/runs", "deep/runs/demo", "deep/runs/demo/checkpoints", "deep/runs/demo/config.json",
        "deep/runs/demo/lock", "deep/runs/demo/metrics", "deep/runs/demo/state",
        "deep/runs/demo/state.sqlite",
      ])
  }

  @Test func refusesARunThatIsThere() throws {
    _ = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
    let before = try folder.text("demo/config.json")
    var other = runRecord("demo")
    other.configuration = ["seed": 7]
    let text = errorText { _ = try RunFolder.create(outputPath: folder.path, run: other) }
    #expect(text.contains("nl-coord resume \(folder.file("demo"))"))
    #expect(text.contains("--experiment-name"))
    #expect(try folder.text("demo/config.json") == before)
    #expect(folder.files().allSatisfy { !$0.contains(".tmp-") })
  }

  /// The ledger has every value too.
  @Test(arguments: [nil, "", "{\"seed\": ", "\u{0}"]) func aDamagedConfigIsWrittenAnew(text: String?) throws {
    let record = runRecord("demo")
    _ = try RunFolder.create(outputPath: folder.path, run: record)
    let before = try folder.text("demo/config.json")
    try FileManager.default.removeItem(atPath: folder.file("demo/config.json"))
    if let text { try folder.write(text, to: "demo/config.json") }
    var said: [String] = []
    let run = try RunFolder.open(folder.file("demo")) { said.append($0) }
    #expect(try run.configuration() == record.configuration)
    #expect(try folder.text("demo/config.json") == before)
    #expect(said.count == 1 && said[0].contains("written anew from the ledger"), "\(said)")
    #expect(folder.files().contains("demo/config.json.damaged") == (text != nil))
  }

  @Test func refusesWhatIsNotARun() throws {
    try FileManager.default.createDirectory(atPath: folder.file("demo"), withIntermediateDirectories: true)
    try folder.write("mine", to: "demo/event.txt")
    #expect(
      errorText { _ = try RunFolder.create(outputPath: folder.path, run: runRecord("demo")) }.contains(
        "not a run"))
    #expect(errorText { _ = try RunFolder.open(folder.file("demo")) }.contains("it has no state.sqlite"))
    #expect(try folder.text("demo/event.txt") == "mine")
  }

  @Test(arguments: ["", ".", "..", "a/b", ".hidden", "a\nb", String(repeating: "x", count: 201)])
  func refusesANameThatIsNoFolderName(name: String) {
    #expect(
      errorText { _ = try RunFolder.create(outputPath: folder.path, run: runRecord(name)) }
        .contains("experiment_name"))
    #expect(folder.files() == [])
  }

  @Test func saysWhereItMayNotWrite() throws {
    try folder.write("", to: "file")
    let text = errorText {
      _ = try RunFolder.create(outputPath: folder.file("file/runs"), run: runRecord("demo"))
    }
    #expect(text.contains(folder.file("file")))
  }

  @Test func theLockLivesAsLongAsTheRun() throws {
    do {
      let run = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
      let text = errorText { _ = try RunFolder.open(run.path) }
      #expect(text.contains("another coordinator works on this run (process \(getpid()) on "))
    }
    _ = try RunFolder.open(folder.file("demo/"))
  }

  /// `flock` of util-linux takes the same kernel lock from another process; SIGKILL frees it.
  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/flock"), "needs flock (util-linux)"))
  func theLockHoldsAcrossProcesses() throws {
    _ = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
    let other = Process()
    other.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    other.arguments = ["--no-fork", folder.file("demo/lock"), "sh", "-c", "echo locked; exec sleep 600"]
    let output = Pipe()
    other.standardOutput = output
    try other.run()
    defer { if other.isRunning { kill(other.processIdentifier, SIGKILL) } }
    #expect(output.fileHandleForReading.availableData == Data("locked\n".utf8))

    #expect(throws: RunFolderError.self) { _ = try RunFolder.open(folder.file("demo")) }
    kill(other.processIdentifier, SIGKILL)
    other.waitUntilExit()
    _ = try RunFolder.open(folder.file("demo"))
  }

  /// Children must not hold the lock: a worker outlives its coordinator for a while.
  @Test func childrenDoNotHoldTheLock() throws {
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    child.arguments = ["sleep", "600"]
    do {
      let run = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
      try child.run()
      withExtendedLifetime(run) {}
    }
    defer {
      kill(child.processIdentifier, SIGKILL)
      child.waitUntilExit()
    }
    _ = try RunFolder.open(folder.file("demo"))
  }

  @Test func openingClearsWhatACrashLeft() throws {
    _ = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
    for path in [
      "checkpoints/.tmp-best/peft", "checkpoints/.old-best", "checkpoints/.old-final", "checkpoints/final",
    ] {
      try FileManager.default.createDirectory(
        atPath: folder.file("demo/" + path), withIntermediateDirectories: true)
    }
    try folder.write("half", to: "demo/checkpoints/.tmp-best/peft/adapter_model.safetensors")
    try folder.write("the old best", to: "demo/checkpoints/.old-best/metadata.json")
    try folder.write("the old final", to: "demo/checkpoints/.old-final/metadata.json")
    try folder.write("the new final", to: "demo/checkpoints/final/metadata.json")
    try folder.write("half", to: "demo/state/.tmp-1-blob")
    try folder.write("half", to: "demo/.tmp-1-config.json")

    _ = try RunFolder.open(folder.file("demo"))
    #expect(folder.files().allSatisfy { !$0.contains(".tmp-") && !$0.contains(".old-") })
    // The crash came after the old folder had moved aside: it is back. The other came later: the new one stays.
    #expect(try folder.text("demo/checkpoints/best/metadata.json") == "the old best")
    #expect(try folder.text("demo/checkpoints/final/metadata.json") == "the new final")
  }

  @Test func creatingClearsWhatACrashedCreationLeft() throws {
    let left = try RunFolder.create(outputPath: folder.path, run: runRecord("left"))
    // A creation that is still under way holds the lock in its temporary folder; one that crashed does not.
    try FileManager.default.moveItem(atPath: left.path, toPath: folder.file(".tmp-a-demo"))
    try FileManager.default.createDirectory(
      atPath: folder.file(".tmp-b-demo"), withIntermediateDirectories: true)
    try folder.write("", to: ".tmp-b-demo/lock")
    _ = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
    #expect(FileManager.default.fileExists(atPath: folder.file(".tmp-a-demo")))
    #expect(!FileManager.default.fileExists(atPath: folder.file(".tmp-b-demo")))
    withExtendedLifetime(left) {}
  }

  @Test func namesADamagedConfiguration() throws {
    let run = try RunFolder.create(outputPath: folder.path, run: runRecord("demo"))
    try folder.write("{\n  \"a\": 1,\n", to: "demo/config.json")
    #expect(errorText { _ = try run.configuration() }.contains("demo/config.json: line 3"))
  }

  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func aFullDiskLeavesNothingOfANewRun() throws {
    let volume = try #require(SmallVolume(kibibytes: 64))
    let text = errorText { _ = try RunFolder.create(outputPath: volume.path, run: runRecord("demo")) }
    #expect(text.contains("free some space"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: volume.path) == [])
  }

  /// Fault 7 of the matrix: a commit on a full disk fails by name, and the same commit succeeds with room.
  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func aFullDiskFailsACommitWhole() throws {
    let volume = try #require(SmallVolume(kibibytes: 1024))
    let ledger = try RunFolder.create(outputPath: volume.path, run: runRecord("demo")).openLedger()
    _ = try ledger.beginTerm()
    let filling = StepRecord(
      step: 1, loss: 1, tokens: 1, learningRate: 1, gradNorm: 1, activeTiers: [0], digest: "", seconds: 1,
      metrics: .string(String(repeating: "x", count: 200_000)))
    try volume.fill()
    #expect {
      try ledger.commit(filling, tiers: [], assignments: [])
    } throws: { error in
      guard case LedgerError.diskFull = error else { return false }
      return "\(error)".contains("free some space")
    }
    #expect(try ledger.lastStep() == 0)
    try volume.makeRoom()
    try ledger.commit(filling, tiers: [], assignments: [])
    #expect(try ledger.lastStep() == 1)
  }
}

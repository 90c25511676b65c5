import Files
import Foundation
import Harness
import JSON
import Testing

@testable import Service

/// Every committed row once, in order, and no other (issue: "One row per committed step, none twice after a
/// resume").
@Suite struct MetricsLogTests {
  let folder: RunTestFolder

  init() throws { folder = try RunTestFolder() }

  private func row(_ step: Int) -> JSONValue { ["step": .number(step), "loss": .number(1 / Double(step))] }

  private func rows(_ steps: some Sequence<Int>) -> String { steps.map { row($0).text + "\n" }.joined() }

  /// A log beside a ledger that has committed rows 1 … `committed`.
  private func open(committed: Int) throws -> MetricsLog {
    try MetricsLog(path: folder.file("m.jsonl"), lastCommitted: committed) { step in
      step < committed ? (step + 1...committed).map { ($0, row($0)) } : []
    }
  }

  @Test func appendsEachStepOnce() throws {
    let log = try open(committed: 0)
    for step in [1, 2, 2, 1, 3] { try log.append(row(step), step: step) }
    #expect(try folder.text("m.jsonl") == rows(1...3))
    #expect(log.lastStep == 3)
  }

  /// What a crash, or an editor, may leave; the ledger has three rows each time.
  @Test(arguments: [
    "", "{\"st", "1\n", "1\n2\n3", "1\n2\n3\n", "1\n2\n3\n4\n", "1\n2\n3\n4\n5", "1\n1\n2\n3\n", "1\nx\n3\n",
    "\n", "1\n\u{0}\u{0}",
    "1\n{\"loss\":1}\n3\n", "2\n1\n3\n4\n",
  ]) func aResumedFileAgreesWithTheLedger(left: String) throws {
    let text = left.split(separator: "\n", omittingEmptySubsequences: false)
      .map { part in Int(part).map { row($0).text } ?? String(part) }.joined(separator: "\n")
    try folder.write(text, to: "m.jsonl")
    let log = try open(committed: 3)
    try log.append(row(4), step: 4)
    let result = try folder.text("m.jsonl")
    // Rows missing from the middle of a file are not looked for: its rows are the program's own, in order.
    #expect(result == (left.hasPrefix("2") ? rows([2, 3, 4]) : rows(1...4)), "left: \(left)")
  }

  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func aFullDiskLeavesNoPartOfARow() throws {
    let volume = try #require(SmallVolume(kibibytes: 64))
    let log = try MetricsLog(path: volume.path + "/m.jsonl", lastCommitted: 0) { _ in [] }
    try log.append(row(1), step: 1)
    try volume.fill()
    let long: JSONValue = ["step": 2, "text": .string(String(repeating: "x", count: 6000))]
    #expect { try log.append(long, step: 2) } throws: {
      "\($0)".contains("row of step 2") && "\($0)".contains("free some space")
    }
    #expect(try AtomicFile.read(volume.path + "/m.jsonl") == Array(rows([1]).utf8))
    try volume.makeRoom()
    try log.append(row(2), step: 2)
    #expect(try AtomicFile.read(volume.path + "/m.jsonl") == Array(rows(1...2).utf8))
  }

  /// What cannot be read makes room for a file that is written anew; what can be read, or is not there, is left alone.
  @Test func whatCannotBeReadIsPutAside() throws {
    let folder = try RunTestFolder()
    let path = folder.file("metrics.jsonl")
    #expect(try MetricsLog.setAsideIfUnreadable(path) == nil)
    try folder.write("\u{0}", to: "metrics.jsonl")
    #expect(try MetricsLog.setAsideIfUnreadable(path) == nil)
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(try MetricsLog.setAsideIfUnreadable(path)?.contains(path) == true)
    #expect(folder.files() == ["metrics.jsonl.damaged"])
  }
}

import Foundation
import Harness
import JSON
import Testing

/// The continuum memory demonstration through real processes: its losses are PyTorch's (losses.json, by make_losses.py),
/// its levels are updated as the notebook says, and neither workers nor faults change a bit.
@Suite(.serialized) struct ContinuumMemoryTests {
  struct Case: Sendable {
    let json: JSONValue
    var losses: [Double] { (json["losses"]?.array ?? []).compactMap(\.double) }

    func flags(steps: Int) -> [String] {
      func number(_ key: String) -> String { json[key]?.text ?? "" }
      return [
        "--width", number("width"), "--inner", number("inner"), "--batch", number("batch"), "--seq",
        number("seq"),
        "--learning-rate", number("rate"), "--seed", number("seed"), "--steps", "\(steps)",
        "--threads-per-worker",
        "1", "--chunks",
      ] + (json["chunks"]?.array ?? []).map(\.text)
    }
  }

  static func golden(_ name: String) throws -> Case {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "Fixtures/ContinuumMemory/losses.json")
    let cases = try JSONValue(parsing: String(contentsOf: file, encoding: .utf8))["cases"]?.array ?? []
    return Case(json: try #require(cases.first { $0["name"]?.string == name }))
  }

  private func losses(_ folder: String) throws -> [Double] {
    try rows(folder + "/cms-demo/metrics/train_metrics.jsonl").compactMap { $0["loss"]?.double }
  }

  /// The notebook's own shape is larger than CI has time for beyond its first steps.
  @Test(arguments: [("small", 20), ("notebook", 3)]) func firstLossesArePyTorchs(name: String, steps: Int)
    throws
  {
    let golden = try Self.golden(name)
    let scratch = try Scratch()
    let result = try Program.tool.run(
      ["cms-demo", "--output", scratch.path("runs"), "--local-workers", "2"] + golden.flags(steps: steps))
    try result.expectSuccess()
    let own = try losses(scratch.path("runs"))
    #expect(own.count == steps)
    for (own, expected) in zip(own, golden.losses) { #expect(abs(own - expected) < 1e-5) }
  }

  /// A step of each kind, updates by level, the page; another number of workers, and a coordinator that is killed, give
  /// the same bits; the same command with a finished run trains nothing.
  @Test func levelsUpdateAsTheirChunksSay() throws {
    let golden = try Self.golden("small")
    let scratch = try Scratch()
    let alone = try Program.tool.run(
      ["cms-demo", "--output", scratch.path("a"), "--local-workers", "1"] + golden.flags(steps: 40))
    try alone.expectSuccess()
    #expect(
      alone.output.contains("level1_fast: chunk_size 1, update_count 40, expected_updates 40"),
      "\(alone.output)")
    #expect(
      alone.output.contains(
        "level3_slow: chunk_size 16, update_count 2, expected_updates 2, last_update_step 32, steps_since_update 8"
      ))
    #expect(alone.output.contains("Updates 40, 10, 2 of 40 steps: as ⌊steps/chunk⌋ says"))
    let three = ["cms-demo", "--output", scratch.path("b"), "--local-workers", "3"] + golden.flags(steps: 40)
    let killed = try Program.tool.start(three, environment: ["NL_FAILPOINTS": "compute.delay=0.02"])
    #expect(waitUntil(seconds: 60) { (try? losses(scratch.path("b")).count) ?? 0 >= 18 }, "\(killed.errors)")
    kill(killed.process.processIdentifier, SIGKILL)
    _ = try killed.wait()
    try Program.tool.run(three).expectSuccess()
    let name = "cms-demo/checkpoints/final/model.safetensors"
    #expect(try sha256(scratch.path("a/\(name)")) == sha256(scratch.path("b/\(name)")))
    #expect(try losses(scratch.path("a")) == losses(scratch.path("b")))
    let page = try String(contentsOfFile: scratch.path("a/cms-demo/cms-demo.html"), encoding: .utf8)
    for text in ["level2_medium", "Effective batch", "Norm of each level", "as expected", "<svg"] {
      #expect(page.contains(text))
    }
    #expect(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"))
    let again = try Program.tool.run(
      ["cms-demo", "--output", scratch.path("a"), "--local-workers", "1"] + golden.flags(steps: 40))
    try again.expectSuccess()
    #expect(!again.output.contains("Step 40/40"), "\(again.output)")
    let other = try Program.tool.run(
      ["cms-demo", "--output", scratch.path("a"), "--local-workers", "1"] + golden.flags(steps: 41))
    #expect(other.status == 1 && other.errors.contains("begun with other values"), "\(other.everything)")
  }

  @Test func whatCannotBeTrained() throws {
    for (flags, words) in [
      (["--width", "0"], "cannot be trained"), (["--chunks", "1", "0"], "cannot be trained"),
      (["--steps", "0"], "are none, or more than"), (["--learning-rate", "0"], "must be above 0"),
    ] {
      let result = try Program.tool.run(["cms-demo", "--output", "/nonexistent/x"] + flags)
      #expect(result.status != 0 && result.errors.contains(words), "\(result.everything)")
    }
  }
}

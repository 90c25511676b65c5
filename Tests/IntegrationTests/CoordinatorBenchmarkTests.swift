import Foundation
import Harness
import JSON
import Testing

/// `nl-tool bench coordinator`, as a user runs it: the real coordinator, and workers over real ZeroMQ.
@Suite(.serialized) struct CoordinatorBenchmarkTests {
  /// A folder of its own for temporary files, so that it can be seen what stays.
  private static func run(_ arguments: [String]) throws -> (report: JSONValue, left: [String]) {
    let scratch = try Scratch()
    let result = try Program.tool.run(
      ["bench", "coordinator", "--json"] + arguments, environment: ["TMPDIR": scratch.folder])
    try result.expectSuccess()
    return (
      try JSONValue(parsing: result.output),
      try FileManager.default.contentsOfDirectory(atPath: scratch.folder)
    )
  }

  /// The bytes are those that the formats ask for: all tiers' gradients from each of three workers, all parameters to
  /// each. The small model has 24 layers of width 64, with 192 inside, 4 heads and 2 key/value heads of 16, so that a
  /// LoRA adapter of rank 1 has 24 · ((64 + 64) + 2 · (64 + 32) + (64 + 64) + 3 · (64 + 192)) = 29,184 values; 0.2 MB
  /// are nearest to rank 2.
  @Test(arguments: ["tcp", "ipc"]) func reportsAStep(transport: String) throws {
    let (report, left) = try Self.run([
      "--workers", "3", "--gradient-mb", "0.2", "--steps", "3", "--transport", transport,
    ])
    let bytes = 4 * 2 * 29_184
    #expect(report["lora_rank"]?.int == 2)
    #expect(report["gradient_mb"]?.double == Double(bytes) / 1e6)
    #expect(report["bytes_in_per_step"]?.double == Double(3 * bytes))
    #expect(report["bytes_out_per_step"]?.double == Double(3 * bytes))
    #expect(report["sessions_lost"]?.int == 0)
    // Each of three workers has one micro-batch; a late one may be given to another as well.
    #expect(try #require(report["hand_outs_per_step"]?.double) >= 3)
    let rate = try #require(report["steps_per_second"]?.double)
    #expect(abs(try #require(report["gb_in_per_second"]?.double) * 1e9 / rate / Double(3 * bytes) - 1) < 1e-9)
    let median = try #require(report["seconds_per_step"]?.double)
    #expect(try #require(report["best_seconds"]?.double) <= median)
    #expect(try #require(report["worst_seconds"]?.double) >= median)
    #expect(try #require(report["peak_rss_mb"]?.double) > 1)
    #expect(try #require(report["coordinator_cpu_seconds_per_step"]?.double) >= 0)
    #expect(try #require(report["workers_cpu_seconds_per_step"]?.double) > 0)
    let limit = try #require(report["limit"])
    let socket = try #require(limit["plain_socket_gb_per_second"]?.double)
    let share = try #require(limit["fraction_of_plain_socket"]?.double)
    #expect(abs(share * socket * 1e9 * median / Double(6 * bytes) - 1) < 1e-9)
    #expect(left.isEmpty)
  }

  /// Periods 1, 2 and 4 with windows, the last step of which is no flush: tier 0 is sent at each of four steps, tier 1
  /// at two, tier 2 at one; workers keep the sums of the others. A tier is a third of the layers.
  @Test func windowsAreKept() throws {
    let (report, _) = try Self.run([
      "--workers", "2", "--gradient-mb", "0.2", "--steps", "4", "--periods", "1", "2", "4",
      "--inactive-gradients", "mean",
    ])
    let tier = 4 * 2 * 29_184 / 3
    let sent = try #require(report["bytes_in_per_step"]?.double)
    #expect(sent >= Double(2 * tier * 7) / 4)
    #expect(report["sessions_lost"]?.int == 0)
  }

  /// Ctrl-C ends the coordinator and removes the folder, whenever it comes.
  @Test(arguments: [0.3, 2]) func interruption(seconds: Double) throws {
    let scratch = try Scratch()
    let running = try Program.tool.start(
      ["bench", "coordinator", "--workers", "2", "--gradient-mb", "1", "--steps", "100000"],
      environment: ["TMPDIR": scratch.folder])
    usleep(UInt32(seconds * 1e6))
    let below = children(of: running.id)
    running.interrupt()
    let result = try running.wait(seconds: 30)
    #expect(result.status != 0 && result.errors.contains("stopped by the user"), "\(result.everything)")
    #expect(below.allSatisfy { kill($0, 0) != 0 })
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.folder).isEmpty)
  }

  @Test func aModelThatIsNotThereIsNamed() throws {
    let result = try Program.tool.run(["bench", "coordinator", "--model", "/nowhere"])
    #expect(result.status != 0 && result.errors.contains("/nowhere"), "\(result.everything)")
  }
}

import Benchmarks
import Files
import Foundation
import Harness
import JSON
import Testing

/// What is in the report, not how fast this disk is.
@Suite struct LedgerBenchmarkTests {
  @Test func reportIsConsistentAndNothingStays() throws {
    let scratch = try Scratch()
    var benchmark = LedgerBenchmark(folder: scratch.folder, steps: 20)
    benchmark.workers = 3
    let report = try benchmark.run()
    #expect(report["steps"]?.int == 20)
    let rate = try #require(report["commits_per_second"]?.double)
    #expect(rate > 0)
    let median = try #require(report["median_seconds"]?.double)
    let p99 = try #require(report["p99_seconds"]?.double)
    #expect(median > 0 && median <= p99)
    #expect(p99 <= (try #require(report["worst_seconds"]?.double)))
    let bytes = try #require(report["bytes_written"]?.int)
    #expect(report["bytes_per_commit"]?.double == Double(bytes) / 20)
    // In WAL mode (sqlite.org/fileformat2.html, section 4) a commit appends whole pages of 4,096 bytes, each behind 24
    // bytes: at least those of the tables steps, tiers and assignments.
    #expect(bytes >= 20 * 3 * 4120)
    let limit = try #require(report["limit"])
    #expect(try #require(limit["median_seconds"]?.double) > 0)
    let writes = try #require(limit["writes_per_second"]?.double)
    #expect(abs(try #require(limit["fraction"]?.double) * writes / rate - 1) < 1e-9)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.folder).isEmpty)
  }

  @Test func aFolderThatIsNotThereIsNamed() {
    let error = #expect(throws: FileError.self) {
      try LedgerBenchmark(folder: "/nowhere/at all", steps: 1).run()
    }
    #expect(error?.path == "/nowhere/at all")
  }
}

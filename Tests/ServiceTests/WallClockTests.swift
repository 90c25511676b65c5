import Foundation
import Testing

/// Row 17 of the fault matrix: no lease, wait or decision depends on the wall clock, so it may jump. It is read for times
/// that people read alone: in the ledger and in metadata, in lines of the log, in the queue of a service, in the name of a
/// run that was given none and in what clients of OpenAI's API are told, as the start of the process in the metrics, as the
/// day that chat templates see (which a run records), as the age of files in the caches, and in the heads of answers by HTTP.
@Suite struct WallClockTests {
  private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Sources").standardizedFileURL.path

  /// Every way to the wall clock in Swift and C.
  private static let ways = [
    "Date()", "Date.now", "CLOCK_REALTIME", "gettimeofday", "time(nil)", "time(NULL)", "timeIntervalSinceNow",
    "CFAbsoluteTime", "wallDeadline", "DispatchWallTime",
  ]

  @Test func row17OnlyTheRecordReadsTheWallClock() throws {
    var readers: Set<String> = []
    for name in try FileManager.default.subpathsOfDirectory(atPath: Self.sources)
    where [".swift", ".c", ".h"].contains(where: name.hasSuffix) {
      let text = try String(contentsOfFile: Self.sources + "/" + name, encoding: .utf8)
      if Self.ways.contains(where: text.contains) { readers.insert(name) }
    }
    #expect(
      readers
        == [
          "Ledger/Timestamp.swift", "HTTPServer/HTTPClock.swift", "Observability/JSONLogHandler.swift",
          "Observability/ProcessMetrics.swift", "Service/RowEncoding.swift", "Dataset/Cache/CachedRows.swift",
          "Dataset/Cache/TokenCache.swift", "Service/Operations/RecentLines.swift",
          "nl-tool/CacheCommand.swift", "nl-tool/TemplateFlags.swift",
          "Service/Completion/CompletionWriter.swift",
        ])
  }

  /// Whoever takes a `Timestamp` writes it down; none is compared, added to or waited for.
  @Test func row17NoTimestampIsJudged() throws {
    let takers = try FileManager.default.subpathsOfDirectory(atPath: Self.sources).filter { name in
      guard name.hasSuffix(".swift"), !name.hasPrefix("Ledger/") else { return false }
      return try String(contentsOfFile: Self.sources + "/" + name, encoding: .utf8).contains("Timestamp.now")
    }
    #expect(
      Set(takers) == [
        "Service/Run/OpenRun.swift", "Service/MonotonicClock.swift", "Service/Queue/RunDesk.swift",
        "Service/Queue/RunDesk+Changes.swift", "WebService/Runs/RunStart.swift",
        "WebService/OpenAI/CompletionAnswer.swift", "WebService/OpenAI/FileShelf.swift",
        "WebService/OpenAI/JobView.swift", "WebService/OpenAI/JobStore.swift",
      ])
  }
}

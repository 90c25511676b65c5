import Foundation
import JSON
import Logging
import Synchronization

/// The last lines of a program's log, for those who look at it from elsewhere.
final class RecentLines: Sendable {
  private struct Line {
    let run: String?
    let json: JSONValue
  }

  /// So many are kept, over all runs.
  private static let most = 1000
  private let lines = Mutex<[Line]>([])

  /// What is given to a logger.
  var handler: any LogHandler { Handler(lines: self) }

  /// - Parameter run: the name of a run; lines of no run are about all of them
  /// - Returns: the newest last: `time`, `level`, `message`
  func last(_ count: Int, of run: String?) -> [JSONValue] {
    lines.withLock { lines in
      lines.filter { $0.run == nil || run == nil || $0.run == run }.suffix(count).map(\.json)
    }
  }

  fileprivate func add(_ event: LogEvent, run: String?) {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    let json: JSONValue = [
      "time": .string(Date().formatted(style)), "level": .string(event.level.rawValue),
      "message": .string("\(event.message)"),
    ]
    lines.withLock { lines in
      lines.append(Line(run: run, json: json))
      if lines.count > Self.most { lines.removeFirst(Self.most / 10) }
    }
  }
}

private struct Handler: LogHandler {
  let lines: RecentLines
  var logLevel = Logger.Level.notice
  var metadata = Logger.Metadata()

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let run = (event.metadata?["run"] ?? metadata["run"]).map { "\($0)" }
    lines.add(event, run: run)
  }
}

import Foundation
import JSON
import Logging

/// Writes each log line as one JSON object: time, level, label and message, then the context, then what the line itself
/// bears. Numbers stay numbers.
struct JSONLogHandler: LogHandler {
  let label: String
  let context: LogContext
  var logLevel = Logger.Level.info
  var metadata = Logger.Metadata()
  var metadataProvider: Logger.MetadataProvider?

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let line = line(event, at: Date())
    // A log that cannot be written is no reason to end a run.
    try? FileHandle.standardError.write(contentsOf: Data((line.text + "\n").utf8))
  }

  func line(_ event: LogEvent, at time: Date) -> JSONValue {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    var members: JSONObject = [
      "time": .string(time.formatted(style)), "level": .string(event.level.rawValue),
      "label": .string(label), "message": .string("\(event.message)"),
    ]
    for member in context.now.members { members[member.key] = member.value }
    let own = metadata.merging(event.metadata ?? [:]) { $1 }
    for (key, value) in own.sorted(by: { $0.key < $1.key }) { members[key] = json(value) }
    return .object(members)
  }

  private func json(_ value: Logger.MetadataValue) -> JSONValue {
    switch value {
    case .string(let text): Int(text).map { .number($0) } ?? .string(text)
    case .stringConvertible(let number as Int): .number(number)
    case .stringConvertible(let number as Double): .number(number)
    case .stringConvertible(let other): .string("\(other)")
    case .array(let values): .array(values.map(json))
    case .dictionary(let values):
      .object(JSONObject(values.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: json($0.value)) }))
    }
  }
}

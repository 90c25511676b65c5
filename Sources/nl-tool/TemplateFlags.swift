import ArgumentParser
import ChatTemplate
import Foundation
import JSON
import Service

/// Reads the flags `--set` and `--date`, which are for chat templates.
enum TemplateFlags {
  /// - Throws: `ValidationError` for a flag that cannot be read.
  static func check(settings: [String], date: String?) throws {
    if let date, TemplateDate(parsing: date) == nil {
      throw ValidationError("--date \(date) is no date like 2026-11-29 or 2026-11-29T08:30:00")
    }
    for setting in settings where !setting.contains("=") {
      throw ValidationError("--set \(setting) has no '='; write --set name=value")
    }
  }

  static func variables(_ settings: [String]) -> JSONObject {
    var variables = JSONObject()
    for setting in settings {
      guard let equals = setting.firstIndex(of: "=") else { continue }
      let text = String(setting[setting.index(after: equals)...])
      variables[String(setting[..<equals])] = (try? JSONValue(parsing: text)) ?? .string(text)
    }
    return variables
  }

  /// The date given, or the local time.
  static func date(_ given: String?) throws -> TemplateDate {
    if let given = given.flatMap({ TemplateDate(parsing: $0) }) { return given }
    let now = Calendar.current.dateComponents([.year, .month, .day, .hour, .minute, .second], from: Date())
    guard
      let date = TemplateDate(
        year: now.year ?? 0, month: now.month ?? 0, day: now.day ?? 0, hour: now.hour ?? 0,
        minute: now.minute ?? 0, second: min(59, now.second ?? 0))
    else { throw ServiceError("the clock shows no date that a template can show", remedy: "give --date") }
    return date
  }
}

import ArgumentParser
import ChatTemplate
import Foundation
import JSON
import Service

/// What commands that render conversations tell the chat template.
struct TemplateFlags: ParsableArguments {
  @Option(
    name: .customLong("set"),
    help: "A variable of the template and its value, as JSON or as a string: --set enable_thinking=false.")
  var settings: [String] = []

  @Option(help: "The date that the template may show, 2026-11-29 or 2026-11-29T08:30:00; by default now.")
  var date: String?

  func validate() throws {
    if let date, TemplateDate(parsing: date) == nil {
      throw ValidationError("--date \(date) is no date like 2026-11-29 or 2026-11-29T08:30:00")
    }
    for setting in settings where !setting.contains("=") {
      throw ValidationError("--set \(setting) has no '='; write --set name=value")
    }
  }

  /// Of `--set`.
  var variables: JSONObject {
    var variables = JSONObject()
    for setting in settings {
      guard let equals = setting.firstIndex(of: "=") else { continue }
      let text = String(setting[setting.index(after: equals)...])
      variables[String(setting[..<equals])] = (try? JSONValue(parsing: text)) ?? .string(text)
    }
    return variables
  }

  /// The date given, or the local time.
  ///
  /// - Throws: `ServiceError` if the clock is beyond what a template can show.
  var shownDate: TemplateDate {
    get throws {
      if let given = date.flatMap({ TemplateDate(parsing: $0) }) { return given }
      let now = Calendar.current.dateComponents([.year, .month, .day, .hour, .minute, .second], from: Date())
      guard
        let date = TemplateDate(
          year: now.year ?? 0, month: now.month ?? 0, day: now.day ?? 0, hour: now.hour ?? 0,
          minute: now.minute ?? 0, second: min(59, now.second ?? 0))
      else { throw ServiceError("the clock shows no date that a template can show", remedy: "give --date") }
      return date
    }
  }
}

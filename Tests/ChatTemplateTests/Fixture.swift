import Foundation
import JSON

@testable import ChatTemplate

/// Files that make_fixtures.py has made with the real transformers.
enum Fixture {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

  static let templates = [
    "assistant-default", "dated-headers", "documents", "filters", "flags", "loops", "macros", "one-line",
    "reasoning-dropped", "tools-before-question", "two-roles", "whitespace",
  ]

  static let tokens = ["bos_token": "<s>", "eos_token": "</s>"]

  /// The date that make_fixtures.py gives to `strftime_now`.
  static let date = TemplateDate(parsing: "2026-02-03T04:05:06")!

  static func template(_ name: String) throws -> ChatTemplate {
    let bytes = try Data(contentsOf: folder.appending(path: "Templates/\(name).jinja"))
    return try ChatTemplate(source: String(decoding: bytes, as: UTF8.self), name: name, specialTokens: tokens)
  }

  static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: Data(contentsOf: folder.appending(path: name)))
  }

  static func lines(_ name: String) throws -> [JSONValue] {
    try Data(contentsOf: folder.appending(path: name)).split(separator: 0x0A).map {
      try JSONValue(parsing: $0)
    }
  }
}

/// The text of a template for one short message.
func rendered(_ source: String, _ variables: JSONObject = [:]) throws -> String {
  try ChatTemplate(source: source, name: "t", specialTokens: Fixture.tokens).render(
    messages: [["role": "user", "content": "hi"]], variables: variables, date: Fixture.date)
}

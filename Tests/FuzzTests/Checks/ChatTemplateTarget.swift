import JSON

@testable import ChatTemplate

extension FuzzTarget {
  /// A chat template with a conversation: the text up to a zero byte, then the JSON of its messages or nothing. What it
  /// comes to must be the same twice, and so must the assistant's turns; spans must lie in the text, one after the other.
  static let chatTemplate = FuzzTarget(name: "chat-template") { input in
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    let source = String(decoding: parts[0], as: UTF8.self)
    let given = parts.count > 1 ? try? JSONValue(parsing: parts[1]) : nil
    guard let parsed = try? Parser.parse(source),
      let first = rendered(parsed, given), let second = rendered(parsed, given)
    else { return nil }
    if Array(first.utf8) != Array(second.utf8) { return "the template renders differently the second time" }
    return turnFault(source, given?.array ?? messages)
  }

  private static let messages: [JSONValue] = [
    ["role": "system", "content": "s"], ["role": "user", "content": " q\n"],
    [
      "role": "assistant",
      "tool_calls": [["id": "call00000", "function": ["name": "f", "arguments": ["x": 1.5]]]],
    ],
    ["role": "tool", "content": "é"], ["role": "assistant", "content": "<think>t</think>a"],
  ]

  private static func rendered(_ template: ParsedTemplate, _ given: JSONValue?) -> String? {
    guard let date = TemplateDate(year: 2026, month: 2, day: 3),
      let messages = try? Value(.array(given?.array ?? messages))
    else { return nil }
    // Few steps: the fuzzer has many templates to try.
    return try? Renderer.render(
      template, variables: [("messages", messages), ("tools", messages), ("bos_token", .string("<s>"))],
      date: date, steps: 100_000)
  }

  private static func turnFault(_ source: String, _ messages: [JSONValue]) -> String? {
    // The limits of a whole rendering would be each input's time here, so that loops are left out.
    guard !source.contains("for"), !source.contains("macro"),
      let date = TemplateDate(year: 2026, month: 2, day: 3),
      let template = try? ChatTemplate(source: source, name: "t"),
      let rendered = try? template.renderForTraining(messages: messages, date: date)
    else { return nil }
    var end = 0
    for span in rendered.turns.compactMap(\.span) {
      guard span.lowerBound >= end, !span.isEmpty, span.upperBound <= rendered.text.utf8.count else {
        return "a turn at \(span) in \(rendered.text.utf8.count) bytes, after one that ends at \(end)"
      }
      end = span.upperBound
    }
    return nil
  }
}

import JSON
import Testing

@testable import ChatTemplate

/// Reference: the definition in ChatTemplate.renderForTraining's documentation, worked out by hand for each kind of
/// template.
@Suite struct TurnTests {
  private func turns(_ template: ChatTemplate, _ messages: [JSONValue], tools: JSONValue? = nil) throws
    -> [String?]
  {
    let rendered = try template.renderForTraining(messages: messages, tools: tools, date: Fixture.date)
    let bytes = Array(rendered.text.utf8)
    #expect(rendered.text == (try template.render(messages: messages, tools: tools, date: Fixture.date)))
    return rendered.turns.map { turn in
      #expect((turn.span == nil) == (turn.reason != nil))
      return turn.span.map { String(decoding: bytes[$0], as: UTF8.self) }
    }
  }

  private let chat: [JSONValue] = [
    ["role": "system", "content": "S"], ["role": "user", "content": "q1"],
    ["role": "assistant", "content": "ä1"], ["role": "user", "content": "q2"],
    ["role": "assistant", "content": "ä1"],
  ]

  @Test func turnsAreWhatFollowsTheGenerationPrompt() throws {
    #expect(try turns(Fixture.template("assistant-default"), chat) == ["ä1<<end>>\n", "ä1<<end>>\n"])
  }

  @Test func turnsStandInTheOrderOfTheirMessages() throws {
    let rendered = try Fixture.template("assistant-default").renderForTraining(
      messages: chat, date: Fixture.date)
    let spans = rendered.turns.compactMap(\.span)
    #expect(rendered.turns.map(\.message) == [2, 4])
    #expect(spans.count == 2 && spans[0].upperBound < spans[1].lowerBound)
    #expect(spans[1].upperBound == rendered.text.utf8.count)
  }

  @Test func callsAreTurnsToo() throws {
    let messages: [JSONValue] = [
      ["role": "user", "content": "q"],
      ["role": "assistant", "tool_calls": [["function": ["name": "f", "arguments": ["x": 1]]]]],
      ["role": "tool", "content": "7"],
      ["role": "assistant", "content": "It is 7."],
    ]
    // The template writes a newline after the role only where content follows: the prompt's newline is shared.
    #expect(
      try turns(Fixture.template("assistant-default"), messages) == [
        "<call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</call><<end>>\n", "It is 7.<<end>>\n",
      ])
  }

  @Test func toolsThatMoveDoNotHideATurn() throws {
    let template = try Fixture.template("tools-before-question")
    let tools: JSONValue = [["type": "function", "function": ["name": "f"]]]
    // Rendered alone, the first question has the functions before it; in the whole text the last one has them.
    #expect(try turns(template, Array(chat.dropFirst()), tools: tools) == [" ä1</s>", " ä1</s>"])
  }

  @Test func reasoningThatIsDroppedLaterHidesItsTurn() throws {
    let template = try Fixture.template("reasoning-dropped")
    let messages: [JSONValue] = [
      ["role": "user", "content": "q1"], ["role": "assistant", "reasoning_content": "hm", "content": "a1"],
      ["role": "user", "content": "q2"], ["role": "assistant", "reasoning_content": "so", "content": "a2"],
    ]
    #expect(try turns(template, messages) == [nil, "<think>\nso\n</think>\n\na2[end]\n"])
  }

  @Test func theLongestCommonBeginningCountsWhereThePromptIsNone() throws {
    // With the prompt an empty thought follows the role, which the turn does not have.
    let source = """
      {% for m in messages %}[{{ m.role }}]{{ '<think>' ~ m.thought ~ '</think>' if m.thought }}{{ m.content }}
      {% endfor %}{% if add_generation_prompt %}[assistant]<think></think>{% endif %}
      """
    let template = try ChatTemplate(source: source, name: "t")
    let messages: [JSONValue] = [
      ["role": "user", "content": "q"], ["role": "assistant", "content": "a", "thought": "é"],
      ["role": "user", "content": "q"], ["role": "assistant", "content": "plain"],
    ]
    #expect(try turns(template, messages) == ["é</think>a\n", "plain\n"])
  }

  @Test func wordsOfSomebodyElseAreNotTakenForATurn() throws {
    // Once more messages follow, the assistant's words are upper case; the user has said the same before.
    let source = """
      {% for m in messages %}<{{ m.role }}>{{ m.content if loop.last or m.role == 'user' else m.content | upper }};{% endfor %}
      {%- if add_generation_prompt %}<assistant>{% endif %}
      """
    let messages: [JSONValue] = [
      ["role": "user", "content": "yes"], ["role": "assistant", "content": "yes"],
      ["role": "user", "content": "yes"],
    ]
    let rendered = try ChatTemplate(source: source, name: "t").renderForTraining(
      messages: messages, date: Fixture.date)
    #expect(rendered.text == "<user>yes;<assistant>YES;<user>yes;")
    #expect(rendered.turns.map(\.span) == [nil])
    #expect(rendered.turns[0].reason?.contains("once more messages follow") == true)
  }

  @Test func aTurnWhoseBeginningCannotBeRenderedIsTold() throws {
    let source =
      "{% if messages|length == 1 %}{{ raise_exception('too short') }}{% endif %}{{ messages[-1].content }}"
    let messages: [JSONValue] = [["role": "user", "content": "q"], ["role": "assistant", "content": "a"]]
    let rendered = try ChatTemplate(source: source, name: "t").renderForTraining(
      messages: messages, date: Fixture.date)
    #expect(rendered.turns[0].reason?.contains("too short") == true)
  }

  @Test func aConversationMayBeginWithTheAssistant() throws {
    let messages: [JSONValue] = [
      ["role": "assistant", "content": "hello"], ["role": "user", "content": "q"],
      ["role": "assistant", "content": "a"],
    ]
    #expect(try turns(Fixture.template("assistant-default"), messages) == [nil, "a<<end>>\n"])
  }
}

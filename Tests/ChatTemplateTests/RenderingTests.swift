import Digests
import JSON
import Testing

@testable import ChatTemplate

/// Reference: apply_chat_template of transformers 5.24 with Jinja 3.1.6 (make_fixtures.py).
@Suite struct RenderingTests {
  @Test(arguments: Fixture.templates)
  func conversationsRenderAsInTransformers(_ name: String) throws {
    let template = try Fixture.template(name)
    let digests = try #require(try Fixture.json("renderings.json")[name]?.array)
    let rows = try Fixture.lines("conversations.jsonl")
    #expect(rows.count == 200 && digests.count == rows.count)
    for (i, row) in rows.enumerated() {
      let messages = try #require(row["messages"]?.array)
      var found = ""
      for tools in [nil, row["tools"]] {
        for prompt in [false, true] {
          let text = try? template.render(
            messages: messages, tools: tools, addGenerationPrompt: prompt, date: Fixture.date)
          found += text.map { String(Digest.sha256($0).prefix(8)) } ?? "--------"
        }
      }
      #expect(found == digests[i].string, "conversation \(i)")
    }
  }

  @Test func randomExpressionsAndTemplatesRenderAsInJinja() throws {
    let lines = try Fixture.lines("expressions.jsonl")
    let variables = try #require(lines[0]["variables"]?.object)
    #expect(lines.count > 1000)
    for line in lines.dropFirst() {
      let source = try #require(line.array?[0].string)
      let text = try? rendered(source, variables)
      #expect(text.map { Array($0.utf8) } == line.array?[1].string.map { Array($0.utf8) }, "\(source)")
    }
  }

  @Test func messagesAreNormalizedAsInTransformers() throws {
    let template = try ChatTemplate(source: "{{ messages | tojson }}", name: "t")
    let messages: [JSONValue] = [
      ["role": "user", "content": nil, "x": ["y": nil]],
      ["role": "assistant", "reasoning": "r", "content": "c"],
      ["role": "assistant", "content": "c", "thinking": "t"],
    ]
    // What apply_chat_template of transformers 5.24 gives for them.
    let expected = """
      [{"role": "user", "x": {"y": null}}, \
      {"thinking": "r", "role": "assistant", "reasoning": "r", "content": "c", "reasoning_content": "r"}, \
      {"thinking": "t", "role": "assistant", "content": "c", "reasoning_content": "t"}]
      """
    #expect(try template.render(messages: messages, date: Fixture.date) == expected)
  }

  @Test func numbersOfAnySizeAreShownAsPythonReadsThem() throws {
    let json: JSONObject = [
      "n": .array([
        .number("18446744073709551616"), .number("-0"), .number("1E400"), .number("1.50"), .number("1e2"),
      ])
    ]
    #expect(
      try rendered("{{ n }} {{ n | tojson }}", json)
        == "[18446744073709551616, 0, inf, 1.5, 100.0] [18446744073709551616, 0, Infinity, 1.5, 100.0]")
  }
}

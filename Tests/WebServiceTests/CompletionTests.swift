import Foundation
import Harness
import JSON
import Testing

/// `/v1/chat/completions` and `/v1/completions`.
@Suite struct CompletionTests {
  private static let template = """
    {% for m in messages %}{{ m['role'] }}: {{ m['content'] }}
    {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}
    """

  private static func start(_ environment: [String: String] = [:]) throws -> RunningService {
    let service = try RunningService(environment: environment)
    try service.scratch.write("models/qwen2_f32/chat_template.jinja", template)
    return service
  }

  private static func chat(_ changes: JSONObject = [:]) -> JSONValue {
    var body: JSONObject = [
      "model": "qwen2_f32", "messages": [["role": "user", "content": "The river"]], "temperature": 0,
      "max_tokens": 20,
    ]
    for member in changes.members { body[member.key] = member.value }
    return .object(body)
  }

  private static func text(_ changes: JSONObject = [:]) -> JSONValue {
    var body: JSONObject = ["model": "qwen2_f32", "prompt": "The river", "temperature": 0, "max_tokens": 20]
    for member in changes.members { body[member.key] = member.value }
    return .object(body)
  }

  /// What `nl-tool generate` goes on with.
  private func generated(_ service: RunningService, _ prompt: String, _ flags: [String]) throws -> String {
    let result = try Program.tool.run(
      ["generate", "--model", service.scratch.path("models/qwen2_f32"), "--prompt", prompt] + flags
    ).expectSuccess()
    return String(result.output.dropFirst(prompt.count).dropLast())
  }

  /// The data of an answer's events.
  private func events(_ answer: HTTPAnswer) -> [String] {
    answer.body.split(whereSeparator: \.isNewline).compactMap { line in
      let line = line.trimmingCharacters(in: .newlines)
      return line.hasPrefix("data: ") ? String(line.dropFirst(6)) : nil
    }
  }

  @Test func itIsTheTextOfTheTool() throws {
    let service = try Self.start()
    let whole = try service.v1("POST", "completions", Self.text())
    let expected = try generated(service, "The river", ["--max-tokens", "20"])
    #expect(!expected.isEmpty && whole["choices"]?.array?.first?["text"]?.string == expected)
    #expect(whole["object"] == "text_completion" && whole["model"] == "qwen2_f32")
    let drawn = try service.v1(
      "POST", "completions", Self.text(["temperature": 1.5, "top_p": 0.8, "seed": 9, "stop": ["e", "zz"]]))
    let flags = ["--temperature", "1.5", "--top-p", "0.8", "--seed", "9", "--stop", "e", "--stop", "zz"]
    let same = try generated(service, "The river", ["--max-tokens", "20"] + flags)
    #expect(drawn["choices"]?.array?.first?["text"]?.string == same)
    let chat = try service.v1("POST", "chat/completions", Self.chat())
    let rendered = try generated(service, "user: The river\nassistant:", ["--max-tokens", "20"])
    let message = chat["choices"]?.array?.first?["message"]
    #expect(message?["role"] == "assistant" && message?["content"]?.string == rendered)
    let usage = chat["usage"]
    let (prompt, tokens) = (usage?["prompt_tokens"]?.int ?? 0, usage?["completion_tokens"]?.int ?? 0)
    #expect(prompt > 5 && tokens == 20 && usage?["total_tokens"]?.int == prompt + tokens)
    #expect(chat["choices"]?.array?.first?["finish_reason"] == "length")
    let parts = try service.v1(
      "POST", "chat/completions",
      Self.chat([
        "messages": [
          [
            "role": "user",
            "content": [["type": "text", "text": "The "], ["type": "text", "text": "river"]],
          ]
        ]
      ]))
    #expect(parts["choices"] == chat["choices"])
  }

  @Test func aStreamIsTheSameInPieces() throws {
    let service = try Self.start()
    let whole = try service.v1("POST", "chat/completions", Self.chat())
    let answer = try service.answer(
      "POST", "/v1/chat/completions", Self.chat(["stream": true, "stream_options": ["include_usage": true]]))
    #expect(answer.status == "200" && answer.head.contains("text/event-stream"))
    let events = events(answer)
    #expect(events.last == "[DONE]")
    let chunks = try events.dropLast().map { try JSONValue(parsing: $0) }
    let deltas = chunks.compactMap { $0["choices"]?.array?.first?["delta"] }
    #expect(deltas.first?["role"] == "assistant" && deltas.count > 3)
    let text = deltas.compactMap { $0["content"]?.string }.joined()
    #expect(text == whole["choices"]?.array?.first?["message"]?["content"]?.string)
    #expect(chunks.last?["usage"] == whole["usage"] && chunks.last?["choices"] == [])
    #expect(chunks.dropLast().last?["choices"]?.array?.first?["finish_reason"] == "length")
    #expect(Set(chunks.compactMap { $0["id"]?.string }).count == 1)
    let completion = try service.answer("POST", "/v1/completions", Self.text(["stream": true]))
    let pieces = try self.events(completion).dropLast().map { try JSONValue(parsing: $0) }
    let plain = try service.v1("POST", "completions", Self.text())
    #expect(
      pieces.compactMap { $0["choices"]?.array?.first?["text"]?.string }.joined()
        == plain["choices"]?.array?.first?["text"]?.string)
  }

  /// What a run has made writes another text than its base model, and the same as the tool with the adapter.
  @Test func anAdapter() throws {
    let service = try Self.start()
    try service.json("POST", "start", RunningService.config("a", ["num_steps": 30, "learning_rate": 0.05]))
    try service.waitForEnd(of: "a")
    let adapted = try service.v1("POST", "completions", Self.text(["model": "a/checkpoints/final"]))
    let expected = try generated(
      service, "The river", ["--max-tokens", "20", "--adapter", service.runs + "/a/checkpoints/final"])
    #expect(adapted["choices"]?.array?.first?["text"]?.string == expected)
    let base = try service.v1("POST", "completions", Self.text())
    #expect(base["choices"] != adapted["choices"])
  }

  /// One at a time; whoever goes away makes room for others at once.
  @Test func oneAtATime() throws {
    // A text of a hundred tokens takes 20 s at least.
    let service = try Self.start(["NL_FAILPOINTS": "text.delay=0.2"])
    let body = Self.text(["max_tokens": 100, "stream": true])
    let script = """
      exec 3<>/dev/tcp/127.0.0.1/\(service.port)
      printf 'POST /v1/completions HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\n' >&3
      printf 'Content-Length: %d\\r\\n\\r\\n%s' \(body.text.utf8.count) '\(body.text)' >&3
      while read -r line <&3; do printf '%s\\n' "$line"; done
      """
    let client = try Program(name: "/bin/bash").start(["-c", script])
    try service.wait("its first piece") { client.output.contains("data: ") }
    let refused = try service.answer("POST", "/v1/completions", Self.text())
    #expect(refused.status == "429" && refused.head.lowercased().contains("retry-after"))
    #expect(try JSONValue(parsing: refused.body)["error"]?["code"] == "rate_limit_exceeded")
    client.terminate()
    client.process.waitUntilExit()
    let begun = Date()
    try service.wait("its turn") {
      try service.answer("POST", "/v1/completions", Self.text(["max_tokens": 1])).status == "200"
    }
    // The text that was given up would have taken longer.
    #expect(Date().timeIntervalSince(begun) < 15)
  }

  /// The process ends with the service, however that ends.
  @Test func itLeavesNoProcess() throws {
    let service = try Self.start()
    func children() throws -> [String] {
      let script = "pgrep -P \(service.program.id) -f write-texts || true"
      return try Program(name: "/bin/bash").run(["-c", script]).output.split(separator: "\n").map(String.init)
    }
    try service.v1("POST", "completions", Self.text())
    let child = try #require(children().first)
    let niceness = try Program(name: "/bin/bash").run(["-c", "ps -o ni= -p \(child)"]).output
    #expect(niceness.trimmingCharacters(in: .whitespacesAndNewlines) == "19")
    // It stays for the next text, and one that has been killed is begun again.
    try service.v1("POST", "completions", Self.text())
    #expect(try children() == [child])
    kill(pid_t(child) ?? 0, SIGKILL)
    try service.wait("its end") { try children() != [child] }
    try service.wait("another") {
      try service.answer("POST", "/v1/completions", Self.text()).status == "200"
    }
    let next = try #require(children().first)
    try service.killAndStart()
    // What nobody has collected yet has no command line any more.
    try service.wait("the end of it") {
      (try? String(contentsOfFile: "/proc/\(next)/cmdline", encoding: .utf8))?.contains("write-texts") != true
    }
  }

  private static let wrong: [(changes: String, param: String)] = [
    (#"{"model": null}"#, "model"), (#"{"messages": []}"#, "messages"),
    (#"{"messages": [{"role": "user"}]}"#, "messages[0]"), (#"{"messages": ["a"]}"#, "messages[0]"),
    (#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#, "messages[0]"),
    (#"{"temperature": 3}"#, "temperature"), (#"{"top_p": -1}"#, "top_p"),
    (#"{"max_tokens": 0}"#, "max_tokens"),
    (#"{"stop": ["a", "b", "c", "d", "e"]}"#, "stop"), (#"{"stop": [""]}"#, "stop"),
    (#"{"stop": 1}"#, "stop"),
    (#"{"n": 2}"#, "n"), (#"{"seed": "x"}"#, "seed"), (#"{"stream": 1}"#, "stream"),
    (#"{"tools": [{"type": "function"}]}"#, "tools"), (#"{"logprobs": true}"#, "logprobs"),
    (#"{"response_format": {"type": "json_object"}}"#, "response_format"), (#"{"other": 1}"#, "other"),
    (#"{"stream_options": {"other": 1}}"#, "stream_options.other"),
  ]

  @Test func eachError() throws {
    let service = try Self.start()
    for (changes, param) in Self.wrong {
      let answer = try service.answer(
        "POST", "/v1/chat/completions", Self.chat(try JSONValue(parsing: changes).object ?? [:]))
      let error = try JSONValue(parsing: answer.body)["error"]
      #expect(answer.status == "400" && error?["param"]?.string == param, "\(changes): \(answer.body)")
    }
    #expect(try service.answer("POST", "/v1/chat/completions", Self.chat(["model": "none"])).status == "404")
    for prompt: JSONValue in [nil, ["a", "b"], [1, 2], ""] {
      let answer = try service.answer("POST", "/v1/completions", Self.text(["prompt": prompt]))
      #expect(answer.status == "400", "\(prompt.text): \(answer.body)")
    }
    // Said before a stream begins.
    let long = String(repeating: "The river froze. ", count: 100)
    let answer = try service.answer(
      "POST", "/v1/completions", Self.text(["prompt": .string(long), "stream": true]))
    #expect(answer.status == "400" && answer.body.contains("positions"))
    try FileManager.default.removeItem(atPath: service.scratch.path("models/qwen2_f32/chat_template.jinja"))
    try service.killAndStart()
    let untold = try service.answer("POST", "/v1/chat/completions", Self.chat())
    #expect(untold.status == "400" && untold.body.contains("template"))
  }
}

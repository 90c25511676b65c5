import JSON
import Ledger
import Service

/// A text that is written, as OpenAI's API gives it out: whole, or in chunks.
struct CompletionAnswer: Sendable {
  private let kind: CompletionBody.Kind
  private let model: String
  private let id: String
  private let created = Int(Timestamp.now().milliseconds / 1000)

  init(_ body: CompletionBody) {
    (kind, model) = (body.kind, body.model)
    id = OpenAIID.make(body.kind == .chat ? "chatcmpl-" : "cmpl-")
  }

  static func reason(isComplete: Bool) -> String { isComplete ? "stop" : "length" }

  func whole(_ text: String, reason: String, promptTokens: Int, tokens: Int) -> JSONValue {
    let choice: JSONValue =
      switch kind {
      case .chat:
        [
          "index": 0, "message": ["role": "assistant", "content": .string(text), "refusal": nil],
          "logprobs": nil, "finish_reason": .string(reason),
        ]
      case .text: ["index": 0, "text": .string(text), "logprobs": nil, "finish_reason": .string(reason)]
      }
    return made(
      kind == .chat ? "chat.completion" : "text_completion", [choice], Self.usage(promptTokens, tokens))
  }

  /// That an answer begins; a completion has nothing of the kind.
  var beginning: JSONValue? {
    kind == .chat ? chunk(["role": "assistant", "content": ""], text: "", reason: nil) : nil
  }

  func piece(_ text: String) -> JSONValue { chunk(["content": .string(text)], text: text, reason: nil) }

  func end(reason: String) -> JSONValue { chunk([:], text: "", reason: reason) }

  func usage(promptTokens: Int, tokens: Int) -> JSONValue {
    made(chunkObject, [], Self.usage(promptTokens, tokens))
  }

  private var chunkObject: String { kind == .chat ? "chat.completion.chunk" : "text_completion" }

  private func chunk(_ delta: JSONValue, text: String, reason: String?) -> JSONValue {
    let reason: JSONValue = reason.map { .string($0) } ?? nil
    let choice: JSONValue =
      kind == .chat
      ? ["index": 0, "delta": delta, "logprobs": nil, "finish_reason": reason]
      : ["index": 0, "text": .string(text), "logprobs": nil, "finish_reason": reason]
    return made(chunkObject, [choice], nil)
  }

  private func made(_ object: String, _ choices: [JSONValue], _ usage: JSONValue) -> JSONValue {
    [
      "id": .string(id), "object": .string(object), "created": .number(created), "model": .string(model),
      "choices": .array(choices), "usage": usage,
    ]
  }

  private static func usage(_ prompt: Int, _ tokens: Int) -> JSONValue {
    [
      "prompt_tokens": .number(prompt), "completion_tokens": .number(tokens),
      "total_tokens": .number(prompt + tokens),
    ]
  }
}

import JSON
import Service

/// A request to `/v1/chat/completions` or `/v1/completions`.
struct CompletionBody: Sendable {
  enum Kind: Sendable { case chat, text }

  let kind: Kind
  /// As it was asked for.
  let model: String
  let request: CompletionRequest
  let isStreamed: Bool
  /// Whether a stream ends with how many tokens there were.
  let includesUsage: Bool

  private static let mostTokens = 1 << 20
  private static let mostStops = 4

  /// - Throws: `OpenAIError` that names the field.
  init(_ body: JSONObject, _ kind: Kind, _ catalog: ModelCatalog) throws {
    var fields = RequestFields(body)
    guard let model = try fields.string("model") else { throw OpenAIError.field("model", "model is missing") }
    let input = try kind == .chat ? Self.messages(&fields) : Self.prompt(&fields)
    let maxTokens = try Self.maxTokens(&fields, kind)
    let temperature = try fields.number("temperature", in: 0...2)
    let topP = try fields.number("top_p", in: 0...1)
    let seed = try fields.value("seed").map { value in
      guard let seed = value.int else { throw fields.wrong("seed", "a whole number", value) }
      return UInt64(bitPattern: Int64(seed))
    }
    let stops = try Self.stops(&fields)
    isStreamed = try fields.bool("stream") ?? false
    var options = RequestFields(try fields.object("stream_options") ?? [:], prefix: "stream_options.")
    includesUsage = try options.bool("include_usage") ?? false
    try options.allow("include_obfuscation", false, true)
    try options.end()
    try Self.allowOthers(&fields, kind)
    try fields.end()
    let found = try catalog.find(model)
    var request = CompletionRequest(
      model: found.base, adapter: found.adapter, input: input, maxTokens: maxTokens)
    request.sampling.temperature = temperature ?? 1
    // At a temperature of 0 the likeliest token is taken, whatever share it has.
    request.sampling.topP = max(topP ?? 1, 1e-9)
    request.sampling.seed = seed ?? UInt64.random(in: 0...UInt64.max)
    request.stops = stops
    (self.kind, self.model, self.request) = (kind, model, request)
  }

  /// Objects with a role and a text; a text in parts is joined.
  private static func messages(_ fields: inout RequestFields) throws -> CompletionRequest.Input {
    guard let messages = try fields.array("messages"), !messages.isEmpty else {
      throw OpenAIError.field("messages", "messages is missing: a list with at least one")
    }
    return .messages(
      try messages.enumerated().map { index, message in
        let name = "messages[\(index)]"
        guard var members = message.object, members["role"]?.string != nil else {
          throw OpenAIError.field(name, "\(name) must be an object with a role")
        }
        switch members["content"] {
        case .string: break
        case .array(let parts):
          members["content"] = .string(try parts.map { try text(of: $0, name) }.joined())
        default: throw OpenAIError.field(name, "\(name) must have a content that is text")
        }
        return .object(members)
      })
  }

  private static func text(of part: JSONValue, _ name: String) throws -> String {
    guard part["type"]?.string == "text", let text = part["text"]?.string else {
      throw OpenAIError.field(name, "\(name) has a part that is not text")
    }
    return text
  }

  private static func prompt(_ fields: inout RequestFields) throws -> CompletionRequest.Input {
    let value = fields.value("prompt")
    if let text = value?.string { return .prompt(text) }
    if let texts = value?.array, texts.count == 1, let text = texts[0].string { return .prompt(text) }
    throw OpenAIError.field("prompt", "prompt must be a string, or a list of one")
  }

  private static func maxTokens(_ fields: inout RequestFields, _ kind: Kind) throws -> Int {
    let newer = kind == .chat ? try fields.integer("max_completion_tokens", in: 1...mostTokens) : nil
    return try newer ?? fields.integer("max_tokens", in: 1...mostTokens) ?? (kind == .chat ? 512 : 16)
  }

  private static func stops(_ fields: inout RequestFields) throws -> [String] {
    guard let value = fields.value("stop") else { return [] }
    let stops = value.string.map { [$0] } ?? value.array?.compactMap(\.string) ?? []
    guard (1...mostStops).contains(stops.count), stops.count == value.array?.count ?? 1, !stops.contains("")
    else {
      throw fields.wrong("stop", "a string or up to \(mostStops), none of them empty", value)
    }
    return stops
  }

  /// What may be there because it is so anyway, or asks for nothing.
  private static func allowOthers(_ fields: inout RequestFields, _ kind: Kind) throws {
    try fields.allow("n", 1)
    try fields.allow("frequency_penalty", 0)
    try fields.allow("presence_penalty", 0)
    try fields.allow("logit_bias", [:])
    for name in ["user", "metadata", "safety_identifier", "prompt_cache_key"] { _ = fields.value(name) }
    switch kind {
    case .chat:
      try fields.allow("logprobs", false)
      try fields.allow("top_logprobs", 0)
      try fields.allow("store", false)
      try fields.allow("service_tier", "auto", "default")
      try fields.allow("response_format", ["type": "text"])
      try fields.allow("modalities", ["text"])
      try fields.allow("tools", [])
      try fields.allow("tool_choice", "none", "auto")
      try fields.allow("parallel_tool_calls", true, false)
    case .text:
      try fields.allow("best_of", 1)
      try fields.allow("echo", false)
      try fields.allow("logprobs", 0)
      try fields.allow("suffix", "")
    }
  }
}

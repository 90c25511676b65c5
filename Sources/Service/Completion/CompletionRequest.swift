import JSON
import LanguageModel

/// A text that is to be written by a model: what goes to the process that writes it, as a line of JSON.
public struct CompletionRequest: Sendable, Equatable {
  /// What the text goes on from.
  public enum Input: Sendable {
    /// Objects with `role` and `content`, which go through the model's chat template.
    case messages([JSONValue])
    case prompt(String)
  }

  /// The folder of the base model; absolute.
  public var model: String
  /// The folder of the adapter; nil for the base model by itself.
  public var adapter: String?
  public var input: Input
  /// Tokens that are written at most.
  public var maxTokens: Int
  public var sampling = SamplingOptions()
  /// Strings that end the text and are no part of it.
  public var stops: [String] = []

  public init(model: String, adapter: String?, input: Input, maxTokens: Int) {
    self.model = model
    self.adapter = adapter
    self.input = input
    self.maxTokens = maxTokens
  }

  public static func == (a: CompletionRequest, b: CompletionRequest) -> Bool { a.json.text == b.json.text }

  var json: JSONValue {
    var members: JSONObject = [
      "model": .string(model), "adapter": adapter.map { .string($0) } ?? nil,
      "max_tokens": .number(maxTokens), "temperature": .number(sampling.temperature),
      "top_p": .number(sampling.topP), "seed": .string(String(sampling.seed)), "stops": .strings(stops),
    ]
    switch input {
    case .messages(let messages): members["messages"] = .array(messages)
    case .prompt(let prompt): members["prompt"] = .string(prompt)
    }
    return .object(members)
  }

  init?(json: JSONValue) {
    let input: Input? =
      json["messages"]?.array.map { .messages($0) } ?? json["prompt"]?.string.map { .prompt($0) }
    guard let input, let model = json["model"]?.string, let maxTokens = json["max_tokens"]?.int,
      let temperature = json["temperature"]?.double, let topP = json["top_p"]?.double,
      let seed = json["seed"]?.string.flatMap(UInt64.init), let stops = json["stops"]?.array
    else { return nil }
    self.init(model: model, adapter: json["adapter"]?.string, input: input, maxTokens: maxTokens)
    (sampling.temperature, sampling.topP, sampling.seed) = (temperature, topP, seed)
    self.stops = stops.compactMap(\.string)
  }
}

/// What comes of a request, in order: that it has begun, pieces of text, and one of the last three.
public enum CompletionEvent: Sendable, Equatable {
  case begun(promptTokens: Int)
  case text(String)
  /// - Parameter isComplete: whether the model ended it or a stop string came; else as many tokens came as it may have
  case ended(isComplete: Bool, tokens: Int)
  /// The request cannot be met.
  case refused(reason: String, remedy: String?)
  /// The process that writes has ended, or was ended.
  case broken(reason: String)

  var isLast: Bool {
    switch self {
    case .begun, .text: false
    case .ended, .refused, .broken: true
    }
  }

  var json: JSONValue {
    switch self {
    case .begun(let tokens): ["prompt_tokens": .number(tokens)]
    case .text(let text): ["text": .string(text)]
    case .ended(let isComplete, let tokens): ["complete": .bool(isComplete), "tokens": .number(tokens)]
    case .refused(let reason, let remedy):
      ["refused": .string(reason), "remedy": remedy.map { .string($0) } ?? nil]
    case .broken(let reason): ["broken": .string(reason)]
    }
  }

  init?(json: JSONValue) {
    if let tokens = json["prompt_tokens"]?.int {
      self = .begun(promptTokens: tokens)
    } else if let text = json["text"]?.string {
      self = .text(text)
    } else if let isComplete = json["complete"]?.bool, let tokens = json["tokens"]?.int {
      self = .ended(isComplete: isComplete, tokens: tokens)
    } else if let reason = json["refused"]?.string {
      self = .refused(reason: reason, remedy: json["remedy"]?.string)
    } else if let reason = json["broken"]?.string {
      self = .broken(reason: reason)
    } else {
      return nil
    }
  }
}

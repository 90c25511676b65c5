import JSON

/// Reads the `pre_tokenizer` of `tokenizer.json`.
struct PreTokenizerReader {
  let file: ConfigurationReader

  /// The pattern of GPT-2, which a `ByteLevel` pre-tokenizer uses unless told not to.
  static let gpt2Pattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  func read() throws(ModelError) -> PreTokenizer {
    guard let part = try file.object("pre_tokenizer") else {
      throw file.fault(
        "pre_tokenizer", "is missing; only byte-level tokenizers are supported, which have ByteLevel here")
    }
    let parts = try flattened(part)
    guard let last = parts.last, try last.string("type") == "ByteLevel" else {
      throw file.fault("pre_tokenizer", "must end in ByteLevel; only byte-level tokenizers are supported")
    }
    var result = PreTokenizer(steps: [])
    for part in parts.dropLast() { result.steps.append(try step(part)) }
    result.addsPrefixSpace = try last.bool("add_prefix_space", default: true)
    if try last.bool("use_regex", default: true) {
      result.lastStep = .pattern(try pattern(Self.gpt2Pattern, last, "type"), .isolated, inverted: false)
    }
    return result
  }

  private func flattened(_ part: ConfigurationReader) throws(ModelError) -> [ConfigurationReader] {
    guard try part.string("type") == "Sequence" else { return [part] }
    var parts: [ConfigurationReader] = []
    for inner in try part.parts("pretokenizers") { parts += try flattened(inner) }
    return parts
  }

  private func step(_ part: ConfigurationReader) throws(ModelError) -> PreTokenizer.Step {
    switch try part.string("type") ?? "" {
    case "Digits": return .digits(individual: try part.bool("individual_digits", default: false))
    case "Split": return try split(part)
    case "ByteLevel": throw part.fault("type", "ByteLevel is supported at the end of the sequence alone")
    case let other:
      throw part.fault(
        "type",
        "the pre-tokenizer \"\(other)\" is not supported; it must be Split, Digits, ByteLevel or Sequence")
    }
  }

  private func split(_ part: ConfigurationReader) throws(ModelError) -> PreTokenizer.Step {
    let name = try part.string("behavior") ?? ""
    guard let behavior = PreTokenizer.Behavior(rawValue: name) else {
      throw part.fault(
        "behavior", "\"\(name)\" is not one of \(PreTokenizer.Behavior.allCases.map(\.rawValue))")
    }
    let inverted = try part.bool("invert", default: false)
    guard let kind = try part.object("pattern") else { throw part.fault("pattern", "is missing") }
    if let literal = try kind.string("String") {
      guard !literal.isEmpty else { throw kind.fault("String", "must not be empty") }
      return .literal(Array(literal.utf8), behavior, inverted: inverted)
    }
    guard let text = try kind.string("Regex") else {
      throw part.fault("pattern", "\(kind.json.text) is neither a Regex nor a String")
    }
    return .pattern(try pattern(text, kind, "Regex"), behavior, inverted: inverted)
  }

  private func pattern(
    _ text: String, _ part: ConfigurationReader, _ key: String
  ) throws(ModelError) -> SplitPattern {
    do throws(SplitPatternError) {
      return try SplitPattern(oniguruma: text)
    } catch {
      throw part.fault(key, "the pattern \(text) cannot be used: \(error.reason)")
    }
  }
}

import JSON

/// Reads the `pre_tokenizer` of `tokenizer.json`.
struct PreTokenizerReader {
  let file: ConfigurationReader

  /// The pattern of GPT-2, which a `ByteLevel` pre-tokenizer uses unless told not to.
  static let gpt2Pattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  func read() throws(ModelError) -> PreTokenizer {
    var result = PreTokenizer(steps: [])
    guard let part = try file.object("pre_tokenizer") else {
      result.isByteLevel = false
      return result
    }
    let parts = try flattened(part)
    var types: [String] = []
    for part in parts { types.append(try part.string("type") ?? "") }
    guard let at = types.firstIndex(of: "ByteLevel") else { return try readCharacters(parts, types) }
    for part in parts[..<at] { result.steps.append(try step(part)) }
    let byteLevel = parts[at]
    result.addsPrefixSpace = try byteLevel.bool("add_prefix_space", default: true)
    if try byteLevel.bool("use_regex", default: true) {
      result.lastStep = .pattern(try pattern(Self.gpt2Pattern, byteLevel, "type"), .isolated, inverted: false)
    }
    for part in parts[(at + 1)...] { result.laterSteps.append(try step(part)) }
    return result
  }

  /// Without `ByteLevel`: the model's tokens are of characters, and `Metaspace` writes spaces for it.
  private func readCharacters(
    _ parts: [ConfigurationReader], _ types: [String]
  ) throws(ModelError) -> PreTokenizer {
    var result = PreTokenizer(steps: [])
    result.isByteLevel = false
    for (part, type) in zip(parts, types) {
      if type == "Metaspace", result.metaspace == nil, part.prefix == parts.last?.prefix {
        result.metaspace = try Metaspace(part)
      } else {
        result.steps.append(try step(part))
      }
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
    case "Punctuation": return .punctuation(try behavior(part, standard: .isolated))
    case "WhitespaceSplit": return .whitespaceSplit
    case "ByteLevel": throw part.fault("type", "ByteLevel is supported once in a sequence")
    case "Metaspace": throw part.fault("type", "Metaspace is supported at the end of the sequence alone")
    case let other:
      throw part.fault(
        "type",
        "the pre-tokenizer \"\(other)\" is not supported; it must be Split, Digits, Punctuation, "
          + "WhitespaceSplit, Metaspace, ByteLevel or Sequence")
    }
  }

  private func behavior(
    _ part: ConfigurationReader, standard: PreTokenizer.Behavior?
  ) throws(ModelError) -> PreTokenizer.Behavior {
    let name = try part.string("behavior")
    if name == nil, let standard { return standard }
    guard let behavior = PreTokenizer.Behavior(rawValue: name ?? "") else {
      throw part.fault(
        "behavior", "\"\(name ?? "")\" is not one of \(PreTokenizer.Behavior.allCases.map(\.rawValue))")
    }
    return behavior
  }

  private func split(_ part: ConfigurationReader) throws(ModelError) -> PreTokenizer.Step {
    let behavior = try behavior(part, standard: nil)
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

import JSON

/// Whose rules a tokenizer is rebuilt by. A GGUF file holds tokens and merges, and only the name of the rest.
public enum TokenizerRules: String, Sendable, CaseIterable {
  /// Those of transformers 5.24 (`AutoTokenizer.from_pretrained(gguf_file=…)`), to the same ids.
  case transformers
  /// What the name in `tokenizer.ggml.pre` stands for: as the model's own tokenizer.json has it, with its normalizer,
  /// single digits and `ignore_merges`, where transformers leaves these out.
  case original
}

/// How text is normalised and cut before byte-level merges, by the name in `tokenizer.ggml.pre`.
struct PreTokenizerRules {
  /// `normalizer`
  private(set) var normalizer: JSONValue = .null
  /// The regular expression of `Split`; nil: that of GPT-2, which `ByteLevel` brings.
  private var pattern: String?
  private var splitsDigits = false
  /// A piece that is a token as a whole is not built from merges.
  private(set) var ignoresMerges = false
  /// Whether a BOS is put in front where the file does not say.
  private(set) var addsBOS = false
  /// What differs between the two rules for this name, in words; nil if nothing does.
  private(set) var difference: String?
  /// Whether the name is one that stands for GPT-2's pattern, or that has a pattern here.
  let isKnown: Bool

  init(name: String?, rules: TokenizerRules) {
    let name = name ?? "default"
    pattern = Self.patterns.first { $0.names.contains(name) }?.pattern
    isKnown = pattern != nil || Self.gpt2Names.contains(name) || Self.digitNames.contains(name)
    var original: [String] = []
    if Self.digitNames.contains(name) { original.append("single digits") }
    if pattern == Self.qwen2 { original.append("Unicode form NFC") }
    if pattern == Self.llama3 || pattern == Self.tekken { original.append("whole tokens before merges") }
    if pattern == Self.llama3 { original.append("a BOS unless the file says otherwise") }
    difference = original.isEmpty ? nil : original.joined(separator: ", ")
    guard rules == .original else { return }
    splitsDigits = Self.digitNames.contains(name)
    if pattern == Self.qwen2 { normalizer = ["type": "NFC"] }
    ignoresMerges = pattern == Self.llama3 || pattern == Self.tekken
    addsBOS = pattern == Self.llama3
  }

  /// `pre_tokenizer`
  var preTokenizer: JSONValue {
    guard pattern != nil || splitsDigits else { return Self.byteLevel(usesPattern: true) }
    let first: JSONValue =
      splitsDigits
      ? ["type": "Digits", "individual_digits": true]
      : [
        "type": "Split", "pattern": ["Regex": .string(pattern ?? "")], "behavior": "Isolated",
        "invert": false,
      ]
    return [
      "type": "Sequence", "pretokenizers": [first, Self.byteLevel(usesPattern: splitsDigits)],
    ]
  }

  private static func byteLevel(usesPattern: Bool) -> JSONValue {
    ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": .bool(usesPattern)]
  }

  private static let llama3 =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"#
    + #"\s+(?!\S)|\s+"#
  private static let qwen2 =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"#
    + #"\s+(?!\S)|\s+"#
  private static let qwen35 =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"#
    + #"\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let tekken =
    #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
    + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
    + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let gpt4o =
    #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"#
    + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"#
    + #"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private static let patterns: [(pattern: String, names: Set<String>)] = [
    (
      llama3,
      [
        "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano",
        "dbrx", "smaug-bpe",
      ]
    ),
    (qwen2, ["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"]),
    (qwen35, ["qwen35"]),
    (tekken, ["tekken"]),
    (gpt4o, ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"]),
  ]
  private static let gpt2Names: Set<String> = [
    "default", "gpt-2", "gpt2", "mpt", "olmo", "phi-2", "jais", "trillion",
  ]
  private static let digitNames: Set<String> = [
    "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
  ]
}

/// One reader of what comes from outside, with what must hold for every input. The fuzzer (Fuzz/) and the tests of
/// the inputs that it found (CorpusTests) run the same checks.
struct FuzzTarget: Sendable {
  let name: String
  /// Whether inputs are JSON texts, which the fuzzer then also changes as such.
  var isJSON = false
  /// What was wrong with how an input was dealt with; nil if nothing was. To refuse an input is right.
  let fault: @Sendable (_ input: [UInt8]) -> String?

  static let all: [FuzzTarget] = [
    .frames, .transfers, .configJSON, .configYAML, .modelConfiguration, .safetensors, .safetensorsHeader,
    .tokenizer, .tokenizerText, .endOfText, .adapter, .gguf, .rows, .tokenCache, .keys, .authentication,
    .chatTemplate,
  ]

  static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Takes an input apart. Whatever is missing at its end is empty or zero.
struct InputReader {
  private(set) var rest: ArraySlice<UInt8>

  init(_ input: [UInt8]) { rest = input[...] }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  /// A length of two bytes, little-endian, and so many bytes, or as many as there are.
  mutating func part() -> [UInt8] {
    let length = Int(byte()) | Int(byte()) << 8
    defer { rest = rest.dropFirst(length) }
    return Array(rest.prefix(length))
  }

  mutating func parts(atMost count: Int) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    while !rest.isEmpty, parts.count < count { parts.append(part()) }
    return parts
  }

  /// The whole rest.
  mutating func remainder() -> [UInt8] {
    defer { rest = [] }
    return Array(rest)
  }
}

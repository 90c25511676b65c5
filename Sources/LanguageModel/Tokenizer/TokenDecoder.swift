/// Makes text of tokens, in the steps that `decoder` of `tokenizer.json` lists.
enum TokenDecoder: Sendable {
  /// Tokens are written in the byte-level alphabet.
  case byteLevel
  /// Tokens are text; the steps work on their list.
  case steps([Step])
  /// There is no decoder: tokens with spaces between them.
  case spaced

  enum Step: Sendable {
    case replace([UInt8], with: [UInt8])
    /// `<0x0A>` stands for a byte; bytes that are no UTF-8 become U+FFFD, one each.
    case byteFallback
    /// One token of all.
    case fuse
    /// At most so many of a scalar at the ends of each token.
    case strip(Unicode.Scalar, start: Int, stop: Int)
    /// A scalar that stands for a space, and for nothing at the beginning of the first token.
    case metaspace(Unicode.Scalar, dropsFirst: Bool)
  }

  /// - Parameter tokens: for `byteLevel` the bytes that tokens stand for, otherwise their text.
  func text(of tokens: [ArraySlice<UInt8>]) -> String {
    switch self {
    case .byteLevel: return String(decoding: tokens.joined(), as: UTF8.self)
    case .spaced: return tokens.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    case .steps(let steps):
      let result = steps.reduce(tokens.map { Array($0) }) { Self.apply($1, to: $0) }
      return String(decoding: result.joined(), as: UTF8.self)
    }
  }

  private static func apply(_ step: Step, to tokens: [[UInt8]]) -> [[UInt8]] {
    switch step {
    case .replace(let literal, let content): tokens.map { $0.replacing(literal, with: content) }
    case .byteFallback: withBytes(tokens)
    case .fuse: [Array(tokens.joined())]
    case .strip(let scalar, let start, let stop):
      tokens.map { strip(scalar, from: $0, start: start, stop: stop) }
    case .metaspace(let scalar, let dropsFirst):
      tokens.enumerated().map { index, token in
        token.replacing(Array(String(scalar).utf8), with: index == 0 && dropsFirst ? [] : [0x20])
      }
    }
  }

  private static func withBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var waiting: [UInt8] = []
    func flush() {
      if waiting.isEmpty { return }
      if String(validating: waiting, as: UTF8.self) != nil {
        result.append(waiting)
      } else {
        result += Array(repeating: Array("\u{FFFD}".utf8), count: waiting.count)
      }
      waiting = []
    }
    for token in tokens {
      if let byte = byte(of: token) {
        waiting.append(byte)
      } else {
        flush()
        result.append(token)
      }
    }
    flush()
    return result
  }

  private static func byte(of token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: Array("<0x".utf8)), token[5] == UInt8(ascii: ">") else {
      return nil
    }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }

  private static func strip(_ scalar: Unicode.Scalar, from token: [UInt8], start: Int, stop: Int) -> [UInt8] {
    let unit = Array(String(scalar).utf8)
    var rest = token[...]
    for _ in 0..<max(0, start) where rest.starts(with: unit) { rest = rest.dropFirst(unit.count) }
    for _ in 0..<max(0, stop) where rest.count >= unit.count && rest.suffix(unit.count).elementsEqual(unit) {
      rest = rest.dropLast(unit.count)
    }
    return Array(rest)
  }
}

/// Reads `decoder`.
struct TokenDecoderReader {
  let file: ConfigurationReader

  func read(byteLevel: Bool) throws(ModelError) -> TokenDecoder {
    guard let part = try file.object("decoder") else {
      guard byteLevel else { return .spaced }
      throw file.fault("decoder", "is missing; a byte-level tokenizer has the decoder \"ByteLevel\"")
    }
    let parts = try flattened(part)
    if parts.count == 1, try parts[0].string("type") == "ByteLevel" { return .byteLevel }
    var steps: [TokenDecoder.Step] = []
    for part in parts { steps.append(try step(part)) }
    guard !byteLevel else {
      throw part.fault("type", "a byte-level tokenizer must have the decoder \"ByteLevel\" alone")
    }
    return .steps(steps)
  }

  private func flattened(_ part: ConfigurationReader) throws(ModelError) -> [ConfigurationReader] {
    guard try part.string("type") == "Sequence" else { return [part] }
    var parts: [ConfigurationReader] = []
    for inner in try part.parts("decoders") { parts += try flattened(inner) }
    return parts
  }

  private func step(_ part: ConfigurationReader) throws(ModelError) -> TokenDecoder.Step {
    switch try part.string("type") ?? "" {
    case "Replace":
      guard let literal = try part.object("pattern")?.string("String"), !literal.isEmpty else {
        throw part.fault("pattern", "must be a String that is not empty")
      }
      return .replace(Array(literal.utf8), with: Array((try part.string("content") ?? "").utf8))
    case "ByteFallback": return .byteFallback
    case "Fuse": return .fuse
    case "Strip":
      let content = try part.string("content") ?? ""
      guard let scalar = content.unicodeScalars.first, content.unicodeScalars.count == 1 else {
        throw part.fault("content", "must be one character")
      }
      return .strip(
        scalar, start: try part.count("start", minimum: 0) ?? 0, stop: try part.count("stop", minimum: 0) ?? 0
      )
    case "Metaspace":
      let metaspace = try Metaspace(part)
      return .metaspace(metaspace.replacement, dropsFirst: metaspace.scheme != .never)
    case let other:
      throw part.fault(
        "type",
        "the decoder \"\(other)\" is not supported; it must be ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace "
          + "or Sequence")
    }
  }
}

/// How SentencePiece writes spaces: as a character of their own, one of them before the text.
struct Metaspace: Sendable {
  enum Scheme: String, Sendable { case always, first, never }

  let replacement: Unicode.Scalar
  let scheme: Scheme
  /// Words are pieces of their own.
  let splits: Bool

  init(_ part: ConfigurationReader) throws(ModelError) {
    let text = try part.string("replacement") ?? "\u{2581}"
    guard let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1 else {
      throw part.fault("replacement", "must be one character")
    }
    replacement = scalar
    if let name = try part.string("prepend_scheme") {
      guard let scheme = Scheme(rawValue: name) else {
        throw part.fault("prepend_scheme", "\"\(name)\" is not always, first or never")
      }
      self.scheme = scheme
    } else {
      // Older files have a switch here.
      scheme = try part.bool("add_prefix_space", default: true) ? .always : .never
    }
    splits = try part.bool("split", default: true)
  }

  var asksForFirst: Bool { scheme == .first }

  /// A piece with its spaces replaced and one before it, unless there is one.
  func written(_ piece: ArraySlice<UInt8>, isFirst: Bool) -> [UInt8] {
    let mark = Array(String(replacement).utf8)
    let text = Array(piece).replacing([0x20], with: mark)
    let prepends = scheme == .always || (scheme == .first && isFirst)
    return prepends && !text.starts(with: mark) ? mark + text : text
  }
}

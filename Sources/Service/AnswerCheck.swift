import Dataset
import LanguageModel

/// Lets a model answer the prompts of rows, always by the likeliest token, and compares its answers with theirs.
struct AnswerCheck {
  let loaded: LoadedModel
  private let mayGoOn: Bool
  private let onAnswer: ((GivenAnswer) throws -> Void)?
  private let generator: TextGenerator

  /// - Parameter mayGoOn: whether an answer counts that begins as the row's and goes on.
  init(_ loaded: LoadedModel, mayGoOn: Bool = false, onAnswer: ((GivenAnswer) throws -> Void)? = nil) {
    self.loaded = loaded
    self.mayGoOn = mayGoOn
    self.onAnswer = onAnswer
    generator = TextGenerator(loaded.model)
  }

  /// Counts one row.
  func count(_ row: PromptRow?, in counts: inout AnswerCounts) throws {
    guard let row else {
      counts.withoutAnswer += 1
      return
    }
    counts.asked += 1
    let expected = try loaded.tokenizer.encode(row.answer, addSpecialTokens: false).count
    guard row.prompt.count + expected < loaded.model.configuration.maxPositions else {
      counts.tooLong += 1
      return
    }
    try loaded.check(row.prompt)
    // The same text may also be written in more tokens than the tokenizer takes for it.
    if try matches(
      row, maxTokens: min(2 * expected + 16, loaded.model.configuration.maxPositions - row.prompt.count))
    {
      counts.matched += 1
    }
  }

  private func matches(_ row: PromptRow, maxTokens: Int) throws -> Bool {
    var answer = AnswerText(expected: row.answer, mayGoOn: mayGoOn)
    var stream = TextStream(tokenizer: loaded.tokenizer, after: row.prompt)
    let ending = try generator.generate(
      prompt: row.prompt, maxTokens: maxTokens, endTokens: loaded.tokenizer.endTokenIDs
    ) { id in
      answer.append(stream.append(id))
      return answer.isOpen
    }
    answer.append(stream.finish())
    // An answer that goes on is another one, unless it may.
    let matches = answer.isMatch && (mayGoOn || ending == .endToken)
    try onAnswer?(
      GivenAnswer(line: row.line, expected: row.answer, given: answer.description, matches: matches))
    return matches
  }
}

/// A text that comes piece by piece, beside the one that it should be. White space around either counts for nothing.
struct AnswerText {
  private let expected: [UInt8]
  private let mayGoOn: Bool
  private var text: [UInt8] = []

  init(expected: String, mayGoOn: Bool = false) {
    self.expected = Array(Self.trimmed(Array(expected.utf8)[...]))
    self.mayGoOn = mayGoOn
  }

  var description: String { String(decoding: text, as: UTF8.self) }

  mutating func append(_ piece: String) {
    text += piece.utf8
    if let first = text.firstIndex(where: { !Self.isSpace($0) }) {
      text.removeFirst(first)
    } else {
      text = []
    }
  }

  var isMatch: Bool {
    guard mayGoOn else { return Self.trimmed(text[...]).elementsEqual(expected) }
    // Not in the middle of a word.
    return text.starts(with: expected) && text.dropFirst(expected.count).first.map(Self.isInWord) != true
  }

  /// Whether it can still become a match, or another one.
  var isOpen: Bool {
    if mayGoOn, text.count > expected.count { return false }
    return expected.starts(with: text) || isMatch
  }

  private static func isInWord(_ byte: UInt8) -> Bool {
    byte >= 0x80 || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF)
  }

  private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard let first = text.firstIndex(where: { !isSpace($0) }),
      let last = text.lastIndex(where: { !isSpace($0) })
    else { return [] }
    return text[first...last]
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

import Dataset
import LanguageModel

/// Lets a model answer the prompts of rows, always by the likeliest token, and compares its answers with theirs.
struct AnswerCheck {
  let loaded: LoadedModel
  private let generator: TextGenerator

  init(_ loaded: LoadedModel) {
    self.loaded = loaded
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
    var answer = AnswerText(expected: row.answer)
    var stream = TextStream(tokenizer: loaded.tokenizer, after: row.prompt)
    let ending = try generator.generate(
      prompt: row.prompt, maxTokens: maxTokens, endTokens: loaded.tokenizer.endTokenIDs
    ) { id in
      answer.append(stream.append(id))
      return answer.isOpen
    }
    answer.append(stream.finish())
    // An answer that goes on is another one.
    return ending == .endToken && answer.isMatch
  }
}

/// A text that comes piece by piece, beside the one that it should be. White space around either counts for nothing.
struct AnswerText {
  private let expected: [UInt8]
  private var text: [UInt8] = []

  init(expected: String) { self.expected = Array(Self.trimmed(Array(expected.utf8)[...])) }

  mutating func append(_ piece: String) {
    text += piece.utf8
    if let first = text.firstIndex(where: { !Self.isSpace($0) }) {
      text.removeFirst(first)
    } else {
      text = []
    }
  }

  var isMatch: Bool { Self.trimmed(text[...]).elementsEqual(expected) }

  /// Whether it can still become a match.
  var isOpen: Bool { expected.starts(with: text) || isMatch }

  private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard let first = text.firstIndex(where: { !isSpace($0) }),
      let last = text.lastIndex(where: { !isSpace($0) })
    else { return [] }
    return text[first...last]
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

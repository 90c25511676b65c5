import Dataset
import JSON
import LanguageModel

/// A row as it is trained on, as text again.
public struct RowExample: Sendable {
  /// Text of tokens that follow each other, all trained on or none of them.
  public struct Part: Sendable, Equatable {
    public let text: String
    public let isTrained: Bool
  }

  /// 1-based.
  public let line: Int
  public let tokens: Int
  public let trainedTokens: Int
  public let parts: [Part]

  init(_ row: TokenRow, line: Int, tokenizer: Tokenizer) {
    self.line = line
    (tokens, trainedTokens) = (row.count, row.trainedCount)
    let ids = row.ids
    var parts: [Part] = []
    var (start, before) = (0, "")
    while start < row.count {
      var end = start + 1
      while end < row.count, row.isTrained(end) == row.isTrained(start) { end += 1 }
      // A token's text may depend on those before it; only what it adds to them is its own.
      let whole = tokenizer.decode(Array(ids[..<end]), skipSpecialTokens: false)
      let text =
        whole.utf8.starts(with: before.utf8)
        ? String(decoding: whole.utf8.dropFirst(before.utf8.count), as: UTF8.self)
        : tokenizer.decode(Array(ids[start..<end]), skipSpecialTokens: false)
      parts.append(Part(text: text, isTrained: row.isTrained(start)))
      (start, before) = (end, whole)
    }
    self.parts = parts
  }

  var json: JSONValue {
    [
      "line": .number(line), "tokens": .number(tokens), "trained_tokens": .number(trainedTokens),
      "parts": .array(parts.map { ["text": .string($0.text), "trained": .bool($0.isTrained)] }),
    ]
  }

  /// Characters of a part that are shown.
  private static let most = 600
  private static let marks = (begin: "⟦", end: "⟧")

  func text(colors: Bool) -> String {
    let how = colors ? "green" : "between \(Self.marks.begin) and \(Self.marks.end)"
    return "Line \(line): \(tokens) tokens, \(trainedTokens) of them trained on (\(how))\n"
      + parts.map { shown($0, colors: colors) }.joined()
  }

  private func shown(_ part: Part, colors: Bool) -> String {
    let text = Self.abridged(TerminalText.visible(part.text))
    if colors { return "\u{1B}[\(part.isTrained ? "32" : "2")m\(text)\u{1B}[0m" }
    return part.isTrained ? Self.marks.begin + text + Self.marks.end : text
  }

  /// The beginning and the end of a long text.
  private static func abridged(_ text: String) -> String {
    guard text.count > most else { return text }
    return text.prefix(most / 2) + " … \(text.count - most / 2 * 2) characters … " + text.suffix(most / 2)
  }
}

/// Makes text of tokens as they come.
///
/// It waits where a token ends in the middle of a character, and where a string may have begun that ends the text.
public struct TextStream {
  private let tokenizer: Tokenizer
  /// The last token that text was made of: what a token stands for may depend on what is before it.
  private var context: [Int32]
  private var pending: [Int32] = []
  private var stops: StopStrings

  /// - Parameters:
  ///   - prompt: the tokens before the text.
  ///   - stops: strings that end the text and are no part of it.
  public init(tokenizer: Tokenizer, after prompt: [Int32], stops: [String] = []) {
    self.tokenizer = tokenizer
    context = prompt.suffix(1)
    self.stops = StopStrings(stops)
  }

  /// Whether a stop string came.
  public var isStopped: Bool { stops.isFound }

  /// Takes a token, and gives the text that is certain by now.
  public mutating func append(_ id: Int32) -> String {
    pending.append(id)
    let text = pendingText
    // A character has at most four bytes, so a longer wait would be for one that never comes.
    if text.unicodeScalars.last == "\u{FFFD}" && pending.count < 4 { return "" }
    context = pending.suffix(1)
    pending = []
    return stops.pass(text)
  }

  /// The rest of the text when no more tokens come.
  public mutating func finish() -> String {
    let text = pendingText
    pending = []
    return stops.pass(text) + stops.finish()
  }

  private var pendingText: String {
    let before = tokenizer.decode(context, skipSpecialTokens: true)
    let whole = tokenizer.decode(context + pending, skipSpecialTokens: true)
    // By bytes: a mark that joins the character before it would otherwise be part of that.
    guard whole.utf8.starts(with: before.utf8) else {
      return tokenizer.decode(pending, skipSpecialTokens: true)
    }
    return String(decoding: whole.utf8.dropFirst(before.utf8.count), as: UTF8.self)
  }
}

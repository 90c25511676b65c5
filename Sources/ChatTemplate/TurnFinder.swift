import JSON

/// Finds what each assistant turn adds to the text of its conversation.
struct TurnFinder {
  private struct NotFound: Error {
    let reason: String
  }

  private let conversation: Conversation
  private let messages: [JSONValue]
  private let whole: String
  private let text: [UInt8]
  /// Where the turn found last ends: turns stand in the order of their messages.
  private var start = 0

  init(_ conversation: Conversation, _ messages: [JSONValue]) throws(ChatTemplateError) {
    self.conversation = conversation
    self.messages = messages
    whole = try conversation.render(messages.count, addGenerationPrompt: false)
    text = Array(whole.utf8)
  }

  mutating func find() -> RenderedConversation {
    var turns: [RenderedConversation.Turn] = []
    for (i, message) in messages.enumerated() where message["role"]?.string == "assistant" {
      do {
        let span = try span(ofMessage: i)
        start = span.upperBound
        turns.append(.init(message: i, span: span, reason: nil))
      } catch {
        turns.append(.init(message: i, span: nil, reason: error.reason))
      }
    }
    return RenderedConversation(text: whole, turns: turns)
  }

  private func span(ofMessage i: Int) throws(NotFound) -> Range<Int> {
    guard i > 0 else { throw NotFound(reason: "the conversation begins with the assistant") }
    let before = try render(i, addGenerationPrompt: true)
    let after = i + 1 == messages.count ? text : try render(i + 1, addGenerationPrompt: false)
    let shared = Self.sharedBeginning(before, after)
    guard shared < after.count else { throw NotFound(reason: "the template shows nothing of the turn") }
    // All before the turn and the turn itself may stand in the whole text as they do alone.
    if shared >= start, text.starts(with: after) { return shared..<after.count }
    let prompt = before.count - Self.sharedBeginning(before, try render(i, addGenerationPrompt: false))
    guard let span = place(of: Array(after[shared...]), after: after[..<shared], prompt: prompt) else {
      throw NotFound(reason: "the template shows the turn otherwise once more messages follow")
    }
    return span
  }

  private func render(_ count: Int, addGenerationPrompt: Bool) throws(NotFound) -> [UInt8] {
    do {
      return Array(try conversation.render(count, addGenerationPrompt: addGenerationPrompt).utf8)
    } catch {
      throw NotFound(reason: "the conversation up to the turn cannot be rendered by itself: \(error)")
    }
  }

  /// Bytes that two texts share at the beginning, in whole characters.
  private static func sharedBeginning(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var count = 0
    while count < a.count, count < b.count, a[count] == b[count] { count += 1 }
    while count > 0, count < b.count, b[count] & 0xC0 == 0x80 { count -= 1 }
    return count
  }

  /// Where a turn stands in the whole text, of several places the one with the most in common before it. That must be
  /// the generation prompt at least, lest the same words of somebody else be taken for the turn.
  private func place(of turn: [UInt8], after before: ArraySlice<UInt8>, prompt: Int) -> Range<Int>? {
    var best: (place: Int, common: Int)?
    var from = start
    for _ in 0..<Self.mostPlaces {
      guard let place = TextSearch.find(turn, in: text, from: from, to: text.count) else { break }
      let pairs = zip(text[..<place].reversed(), before.reversed()).prefix(Self.mostCompared)
      let common = pairs.prefix { $0 == $1 }.count
      if common > best?.common ?? 0 { best = (place, common) }
      from = place + turn.count
    }
    guard let best, best.common >= min(prompt, Self.mostCompared, before.count) else { return nil }
    return best.place..<(best.place + turn.count)
  }

  private static let mostPlaces = 1000
  /// Bytes before a place.
  private static let mostCompared = 1024
}

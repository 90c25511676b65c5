import JSON

/// Finds what each assistant turn adds to the text of its conversation.
struct TurnFinder {
  private let source: Conversation
  private let messages: [JSONValue]
  private let whole: String
  private let text: [UInt8]
  /// Turns follow each other: none begins before the one before it ends.
  private var start = 0

  init(_ conversation: Conversation, _ messages: [JSONValue]) throws(ChatTemplateError) {
    source = conversation
    self.messages = messages
    whole = try conversation.render(messages.count, addGenerationPrompt: false)
    text = Array(whole.utf8)
  }

  func conversation() -> RenderedConversation {
    var finder = self
    var turns: [RenderedConversation.Turn] = []
    for (i, message) in messages.enumerated() where message["role"]?.string == "assistant" {
      do {
        let span = try finder.span(ofMessage: i)
        turns.append(.init(message: i, span: span, reason: nil))
      } catch {
        turns.append(.init(message: i, span: nil, reason: error.description))
      }
    }
    return RenderedConversation(text: whole, turns: turns)
  }

  private struct NotFound: Error, CustomStringConvertible {
    let description: String
  }

  private mutating func span(ofMessage i: Int) throws(NotFound) -> Range<Int> {
    guard i > 0 else { throw NotFound(description: "nothing stands before the assistant's first words") }
    let before = try render(i, addGenerationPrompt: true)
    let after = i + 1 == messages.count ? text : try render(i + 1, addGenerationPrompt: false)
    let shared = Self.sharedBeginning(before, after)
    guard shared < after.count else { throw NotFound(description: "the template shows nothing of the turn") }
    let span = try place(of: after, from: shared, before: before)
    start = span.upperBound
    return span
  }

  private func render(_ count: Int, addGenerationPrompt: Bool) throws(NotFound) -> [UInt8] {
    do {
      return Array(try source.render(count, addGenerationPrompt: addGenerationPrompt).utf8)
    } catch {
      throw NotFound(description: "the messages before it cannot be rendered alone: \(error)")
    }
  }

  /// Bytes that two texts share at the beginning, whole characters alone.
  private static func sharedBeginning(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var count = 0
    while count < a.count, count < b.count, a[count] == b[count] { count += 1 }
    while count > 0, count < b.count, b[count] & 0xC0 == 0x80 { count -= 1 }
    return count
  }

  /// Where the turn stands in the whole text: where it stood alone, if all before it is the same there; else the place
  /// that has most in common before it, which must be more than the generation prompt.
  private func place(of after: [UInt8], from shared: Int, before: [UInt8]) throws(NotFound) -> Range<Int> {
    if shared >= start, text.starts(with: after) { return shared..<after.count }
    let turn = Array(after[shared...])
    let prompt = before[...].suffix(Self.mostCompared)
    var best: (place: Int, common: Int)?
    var from = start
    for _ in 0..<Self.mostPlaces {
      guard let place = TextSearch.find(turn, in: text, from: from, to: text.count) else { break }
      let common = Self.sharedEnd(text[..<place], after[..<shared])
      if common > best?.common ?? 0 { best = (place, common) }
      from = place + turn.count
    }
    guard let best, best.common >= min(prompt.count, Self.leastCommon) else {
      throw NotFound(description: "the template shows the turn otherwise once more messages follow")
    }
    return best.place..<(best.place + turn.count)
  }

  private static let mostCompared = 256
  private static let mostPlaces = 1000
  private static let leastCommon = 1

  private static func sharedEnd(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
    zip(a.reversed(), b.reversed()).prefix(mostCompared).prefix { $0 == $1 }.count
  }
}

import Harness
import Testing

@testable import LanguageModel

@Suite struct TextStreamTests {
  private func text(_ pieces: [String], stops: [String]) -> (text: String, isFound: Bool, early: [String]) {
    var search = StopStrings(stops)
    let shown = pieces.map { search.pass($0) }
    return (shown.joined() + search.finish(), search.isFound, shown)
  }

  @Test func aStopMayLieAcrossPieces() {
    let cut = text(["One. T", "w", "o!", " Three"], stops: ["Two!"])
    #expect(cut.text == "One. " && cut.isFound)
    #expect(cut.early == ["One. ", "", "", ""])
    // What only looked like one is shown as soon as that is clear, and at the end.
    #expect(text(["a##", "b", "#"], stops: ["###"]).early == ["a", "##b", ""])
    #expect(text(["a##", "b", "#"], stops: ["###"]).text == "a##b#")
    #expect(text(["aab"], stops: ["b", "ab"]).text == "a")
    #expect(text(["é", "è"], stops: ["è"]).text == "é")
    #expect(text(["x"], stops: []).early == ["x"])
  }

  /// However a text is cut into pieces, what is shown is what stands before the stop string that the whole
  /// completes first.
  @Test func piecesDoNotMatter() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      func letters(_ most: Int) -> String {
        String(
          (0..<1 + random.next(below: most)).map { _ in ["a", "b", "é"][random.next(below: 3)] }.joined())
      }
      let (whole, stops) = (letters(30), [letters(4), letters(3)])
      var pieces: [String] = []
      for character in whole {
        if pieces.isEmpty || random.next(below: 2) == 0 { pieces.append("") }
        pieces[pieces.count - 1].append(character)
      }
      let bytes = Array(whole.utf8)
      let ends = bytes.indices.flatMap { place in
        stops.filter { bytes[place...].starts(with: $0.utf8) }.map {
          (end: place + $0.utf8.count, place: place)
        }
      }
      let first = ends.min { $0 < $1 }?.place
      let expected = String(decoding: bytes[..<(first ?? bytes.count)], as: UTF8.self)
      let result = text(pieces, stops: stops)
      #expect(result.text == expected && result.isFound == (first != nil), "seed \(seed): \(whole), \(stops)")
    }
  }

  /// A stream of the tokens of a text gives that text, with characters of several tokens whole.
  @Test(arguments: GoldenModel.names) func tokensBecomeTheirText(name: String) throws {
    let tokenizer = try Tokenizer(modelFolder: fixture("models/" + name))
    let text = "The river froze — déjà vu 😀 and 日本, early."
    let ids = try tokenizer.encode(text, addSpecialTokens: false)
    var stream = TextStream(tokenizer: tokenizer, after: [])
    let pieces = ids.map { stream.append($0) }
    #expect(pieces.joined() + stream.finish() == tokenizer.decode(ids, skipSpecialTokens: true))
    #expect(!pieces.contains { $0.contains("\u{FFFD}") })
    var cut = TextStream(tokenizer: tokenizer, after: [], stops: ["vu 😀 a"])
    let shown = ids.map { cut.append($0) }.joined() + cut.finish()
    #expect(shown == "The river froze — déjà " && cut.isStopped)
  }
}

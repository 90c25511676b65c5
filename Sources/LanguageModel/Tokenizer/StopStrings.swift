/// Looks for strings that end a text in a text that comes piece by piece; a string may lie across several pieces.
struct StopStrings {
  private let stops: [[UInt8]]
  /// What may be the beginning of a stop string.
  private var held: [UInt8] = []
  /// Whether one came; after that there is no more text.
  private(set) var isFound = false

  init(_ stops: [String]) { self.stops = stops.filter { !$0.isEmpty }.map { Array($0.utf8) } }

  /// Takes the next piece, and gives what is certain to lie before any stop string.
  mutating func pass(_ piece: String) -> String {
    guard !isFound else { return "" }
    if stops.isEmpty { return piece }
    held += piece.utf8
    if held.isEmpty { return "" }
    if let place = firstPlace {
      isFound = true
      return take(place)
    }
    return take(held.count - openCount)
  }

  /// What was held back when the text ends without more.
  mutating func finish() -> String { isFound ? "" : take(held.count) }

  private mutating func take(_ count: Int) -> String {
    defer { held.removeFirst(count) }
    return String(decoding: held[..<count], as: UTF8.self)
  }

  /// Where the stop string begins that is complete first, the longest if there are several.
  private var firstPlace: Int? {
    for end in 1..<held.count + 1 {
      let begun = held[..<end]
      let found = stops.filter { begun.suffix($0.count).elementsEqual($0) }.map(\.count).max()
      if let found { return end - found }
    }
    return nil
  }

  /// Bytes at the end that a stop string may begin with.
  private var openCount: Int {
    let most = min(held.count, (stops.map(\.count).max() ?? 1) - 1)
    return (0...most).last { count in stops.contains { $0.starts(with: held.suffix(count)) } } ?? 0
  }
}

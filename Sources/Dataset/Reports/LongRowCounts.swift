import JSON
import NestedLearning

/// What became of the rows of a file that have more tokens than `max_seq_length`.
public struct LongRowCounts: Sendable, Equatable {
  public let file: String
  public let rule: LongRows
  public let maxLength: Int
  /// Rows that were longer.
  public internal(set) var rows = 0
  /// Rows that were made of them; 0 unless they are split.
  public internal(set) var parts = 0
  /// Tokens that are in no row: what was cut off, and ends of one token, in which there is nothing to predict.
  public internal(set) var tokensLeftOut = 0
  /// Line and number of tokens of the longest, the longest first; five at most.
  public internal(set) var longest: [Row] = []

  public struct Row: Sendable, Equatable {
    /// 1-based.
    public let line: Int
    public let tokens: Int

    /// Keeps the five longest, the longest first, and of equals the first.
    static func insert(line: Int, tokens: Int, into rows: inout [Row]) {
      let place = rows.firstIndex { $0.tokens < tokens } ?? rows.count
      guard place < 5 else { return }
      rows.insert(Row(line: line, tokens: tokens), at: place)
      if rows.count > 5 { rows.removeLast() }
    }

    var json: JSONValue { ["line": .number(line), "tokens": .number(tokens)] }

    init(line: Int, tokens: Int) { (self.line, self.tokens) = (line, tokens) }

    init?(json: JSONValue) {
      guard let line = json["line"]?.int, let tokens = json["tokens"]?.int else { return nil }
      self.init(line: line, tokens: tokens)
    }
  }

  init(file: String, rule: LongRows, maxLength: Int) {
    self.file = file
    self.rule = rule
    self.maxLength = maxLength
  }

  mutating func count(line: Int, tokens: Int, parts: Int, leftOut: Int) {
    rows += 1
    self.parts += parts
    tokensLeftOut += leftOut
    Row.insert(line: line, tokens: tokens, into: &longest)
  }

  /// For a person; nil if no row is too long.
  public var text: String? {
    guard rows > 0 else { return nil }
    let lines = longest.map { "line \($0.line) (\($0.tokens) tokens)" }.joined(separator: ", ")
    let done =
      switch rule {
      case .cut: "cut, \(tokensLeftOut) tokens left out"
      case .split:
        "split into \(parts)"
          + (tokensLeftOut > 0 ? ", \(tokensLeftOut) last tokens by themselves left out" : "")
      case .error: "refused"
      }
    return
      "\(rows) rows of \(file) are longer than \(maxLength) tokens (max_seq_length): \(done); the longest: \(lines)"
  }

  public var json: JSONValue {
    [
      "rule": .string(rule.rawValue), "max_seq_length": .number(maxLength), "rows": .number(rows),
      "parts": .number(parts), "tokens_left_out": .number(tokensLeftOut),
      "longest": .array(longest.map(\.json)),
    ]
  }
}

import JSON
import NestedLearning

/// What became of the rows of a file that have more tokens than `max_seq_length`.
public struct LongRowCounts: Sendable, Equatable {
  public let file: String
  public let rule: LongRows
  public let maxLength: Int
  /// Rows that were longer.
  public private(set) var rows = 0
  /// Rows that were made of them; 0 unless they are split.
  public private(set) var parts = 0
  /// Tokens that are in no row: what was cut off, and ends of one token, in which there is nothing to predict.
  public private(set) var tokensLeftOut = 0
  /// Line and number of tokens of the longest, the longest first; five at most.
  public private(set) var longest: [Row] = []

  public struct Row: Sendable, Equatable {
    /// 1-based.
    public let line: Int
    public let tokens: Int
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
    let place = longest.firstIndex { $0.tokens < tokens } ?? longest.count
    guard place < 5 else { return }
    longest.insert(Row(line: line, tokens: tokens), at: place)
    if longest.count > 5 { longest.removeLast() }
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
      "longest": .array(longest.map { ["line": .number($0.line), "tokens": .number($0.tokens)] }),
    ]
  }
}

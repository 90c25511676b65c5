/// A node of an expression's tree.
final class Expression: Sendable {
  enum Binary: String {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
  }
  enum Comparison: String {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case isNotIn = "not in"
  }

  /// What a call, filter or test is given.
  struct Arguments: Sendable {
    struct Keyword: Sendable {
      let name: String
      let value: Expression
    }

    var positional: [Expression] = []
    var keywords: [Keyword] = []
    /// `*list` and `**object`.
    var list: Expression?
    var object: Expression?

    var children: [Expression] { positional + keywords.map(\.value) + [list, object].compactMap(\.self) }
  }

  struct Pair: Sendable {
    let key: Expression
    let value: Expression
  }

  struct Operand: Sendable {
    let comparison: Comparison
    let value: Expression
  }

  enum Kind: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    case name(Int)
    case list([Expression])
    case tuple([Expression])
    case dict([Pair])
    case attribute(Expression, String)
    case item(Expression, Expression)
    case slice(Expression, start: Expression?, stop: Expression?, step: Expression?)
    case call(Expression, Arguments)
    /// Without a subject in `{% filter %}` and `{% set x | … %}`, whose subject is the block's text.
    case filter(Expression?, String, Arguments)
    case test(Expression, String, Arguments)
    case not(Expression)
    case negative(Expression)
    case positive(Expression)
    case binary(Binary, Expression, Expression)
    case compare(Expression, [Operand])
    case and(Expression, Expression)
    case or(Expression, Expression)
    case conditional(Expression, then: Expression, otherwise: Expression?)
    /// Joined by `~`.
    case concatenation([Expression])
  }

  let kind: Kind
  let line: Int
  /// Levels of the tree from here on.
  let depth: Int

  init(_ kind: Kind, line: Int) throws(Failure) {
    self.kind = kind
    self.line = line
    depth = 1 + (kind.children.map(\.depth).max() ?? 0)
    guard depth <= Limits.expressionDepth else {
      throw Failure("an expression of more than \(Limits.expressionDepth) levels", line: line)
    }
  }
}

extension Expression.Kind {
  fileprivate var children: [Expression] {
    switch self {
    case .none, .bool, .integer, .float, .string, .name: []
    case .list(let items), .tuple(let items), .concatenation(let items): items
    case .dict(let pairs): pairs.flatMap { [$0.key, $0.value] }
    case .attribute(let a, _), .not(let a), .negative(let a), .positive(let a): [a]
    case .item(let a, let b), .binary(_, let a, let b), .and(let a, let b), .or(let a, let b): [a, b]
    case .slice(let a, let start, let stop, let step): [a, start, stop, step].compactMap(\.self)
    case .call(let a, let arguments), .test(let a, _, let arguments): [a] + arguments.children
    case .filter(let a, _, let arguments): [a].compactMap(\.self) + arguments.children
    case .compare(let a, let operands): [a] + operands.map(\.value)
    case .conditional(let a, let b, let c): [a, b, c].compactMap(\.self)
    }
  }
}

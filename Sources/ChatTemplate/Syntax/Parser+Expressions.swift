/// Expressions, from the loosest operator to the tightest.
extension Parser {
  mutating func expression(withCondition: Bool = true) throws(Failure) -> Expression {
    try nested { (parser) throws(Failure) in
      withCondition ? try parser.conditional() : try parser.disjunction()
    }
  }

  /// Expressions with commas between them make a tuple.
  mutating func tuple(
    withCondition: Bool = true, isInParentheses: Bool = false, endName: String? = nil
  ) throws(Failure) -> Expression {
    let line = self.line
    var items: [Expression] = []
    var isTuple = false
    while true {
      if !items.isEmpty { try expect(mark: ",") }
      if isTupleEnd(endName) { break }
      items.append(try expression(withCondition: withCondition))
      guard isMark(",") else { break }
      isTuple = true
    }
    if !isTuple {
      if let item = items.first { return item }
      guard isInParentheses else { throw fail("expected an expression, not \(token.shown)") }
    }
    return try Expression(.tuple(items), line: line)
  }

  private func isTupleEnd(_ endName: String?) -> Bool {
    switch token.kind {
    case .variableEnd, .blockEnd, .mark(")"): true
    case .name(let name): name == endName
    default: false
    }
  }

  private mutating func conditional() throws(Failure) -> Expression {
    var result = try disjunction()
    while isName("if") {
      let line = self.line
      advance()
      let test = try disjunction()
      let otherwise = skip(name: "else") ? try expression() : nil
      result = try Expression(.conditional(test, then: result, otherwise: otherwise), line: line)
    }
    return result
  }

  private mutating func disjunction() throws(Failure) -> Expression {
    var left = try conjunction()
    while isName("or") {
      let line = self.line
      advance()
      left = try Expression(.or(left, try conjunction()), line: line)
    }
    return left
  }

  private mutating func conjunction() throws(Failure) -> Expression {
    var left = try negation()
    while isName("and") {
      let line = self.line
      advance()
      left = try Expression(.and(left, try negation()), line: line)
    }
    return left
  }

  private mutating func negation() throws(Failure) -> Expression {
    guard isName("not") else { return try comparison() }
    let line = self.line
    advance()
    let operand = try nested { (parser) throws(Failure) in try parser.negation() }
    return try Expression(.not(operand), line: line)
  }

  private mutating func comparison() throws(Failure) -> Expression {
    let line = self.line
    let first = try sum()
    var operands: [Expression.Operand] = []
    while let comparison = takeComparison() {
      operands.append(.init(comparison: comparison, value: try sum()))
    }
    return operands.isEmpty ? first : try Expression(.compare(first, operands), line: line)
  }

  private mutating func takeComparison() -> Expression.Comparison? {
    switch token.kind {
    case .mark(let mark):
      guard let comparison = Expression.Comparison(rawValue: mark) else { return nil }
      advance()
      return comparison
    case .name("in"):
      advance()
      return .isIn
    case .name("not") where following.kind == .name("in"):
      at += 2
      return .isNotIn
    default: return nil
    }
  }

  private mutating func takeBinary(_ marks: [Expression.Binary]) -> Expression.Binary? {
    guard case .mark(let mark) = token.kind, let found = marks.first(where: { $0.rawValue == mark }) else {
      return nil
    }
    advance()
    return found
  }

  private mutating func sum() throws(Failure) -> Expression {
    var left = try concatenation()
    while let binary = takeBinary([.add, .subtract]) {
      left = try Expression(.binary(binary, left, try concatenation()), line: line)
    }
    return left
  }

  private mutating func concatenation() throws(Failure) -> Expression {
    let line = self.line
    var items = [try product()]
    while skip(mark: "~") { items.append(try product()) }
    return items.count == 1 ? items[0] : try Expression(.concatenation(items), line: line)
  }

  private mutating func product() throws(Failure) -> Expression {
    var left = try power()
    while let binary = takeBinary([.multiply, .divide, .floorDivide, .modulo]) {
      left = try Expression(.binary(binary, left, try power()), line: line)
    }
    return left
  }

  /// Left to right, unlike Python's.
  private mutating func power() throws(Failure) -> Expression {
    var left = try unary()
    while let binary = takeBinary([.power]) {
      left = try Expression(.binary(binary, left, try unary()), line: line)
    }
    return left
  }

  private mutating func unary(withFilter: Bool = true) throws(Failure) -> Expression {
    let line = self.line
    var node: Expression
    if isMark("-") || isMark("+") {
      let isNegative = isMark("-")
      advance()
      let operand = try nested { (parser) throws(Failure) in try parser.unary(withFilter: false) }
      node = try Expression(isNegative ? .negative(operand) : .positive(operand), line: line)
    } else {
      node = try primary()
    }
    node = try postfix(node)
    return withFilter ? try filtersAndTests(node) : node
  }

  mutating func primary() throws(Failure) -> Expression {
    let token = self.token
    advance()
    switch token.kind {
    case .name(let name): return try self.name(name, line: token.line)
    case .string(let first):
      var text = first
      while case .string(let more) = self.token.kind {
        text += more
        advance()
      }
      return try Expression(.string(text), line: token.line)
    case .integer(let value): return try Expression(.integer(value), line: token.line)
    case .float(let value): return try Expression(.float(value), line: token.line)
    case .mark("("):
      let inside = try nested { (parser) throws(Failure) in try parser.tuple(isInParentheses: true) }
      try expect(mark: ")")
      return inside
    case .mark("["):
      return try Expression(.list(try items(until: "]")), line: token.line)
    case .mark("{"): return try dict(line: token.line)
    default: throw fail("unexpected \(token.shown)", line: token.line)
    }
  }

  private mutating func name(_ name: String, line: Int) throws(Failure) -> Expression {
    switch name {
    case "true", "True": return try Expression(.bool(true), line: line)
    case "false", "False": return try Expression(.bool(false), line: line)
    case "none", "None": return try Expression(.none, line: line)
    default:
      let number = names.insert(name)
      if number <= NameTable.list {
        for i in mentions.indices { mentions[i].insert(number) }
      }
      return try Expression(.name(number), line: line)
    }
  }

  private mutating func items(until close: String) throws(Failure) -> [Expression] {
    var items: [Expression] = []
    while !isMark(close) {
      if !items.isEmpty { try expect(mark: ",") }
      if isMark(close) { break }
      items.append(try expression())
    }
    try expect(mark: close)
    return items
  }

  private mutating func dict(line: Int) throws(Failure) -> Expression {
    var pairs: [Expression.Pair] = []
    while !isMark("}") {
      if !pairs.isEmpty { try expect(mark: ",") }
      if isMark("}") { break }
      let key = try expression()
      try expect(mark: ":")
      pairs.append(.init(key: key, value: try expression()))
    }
    try expect(mark: "}")
    return try Expression(.dict(pairs), line: line)
  }
}

/// What follows a value: attributes, subscripts, calls, filters and tests.
extension Parser {
  mutating func postfix(_ node: Expression) throws(Failure) -> Expression {
    var node = node
    while true {
      if isMark(".") {
        node = try attribute(of: node)
      } else if isMark("[") {
        node = try subscripted(node)
      } else if isMark("(") {
        node = try call(node)
      } else {
        return node
      }
    }
  }

  mutating func filtersAndTests(_ node: Expression) throws(Failure) -> Expression {
    var node = node
    while true {
      if isMark("|") {
        advance()
        node = try filter(of: node)
      } else if isName("is") {
        node = try test(of: node)
      } else if isMark("(") {
        node = try call(node)
      } else {
        return node
      }
    }
  }

  private mutating func attribute(of node: Expression) throws(Failure) -> Expression {
    let line = self.line
    advance()
    defer { advance() }
    switch token.kind {
    case .name(let name): return try Expression(.attribute(node, name), line: line)
    case .integer(let index):
      return try Expression(.item(node, try Expression(.integer(index), line: line)), line: line)
    default: throw fail("expected a name or a number after '.', not \(token.shown)")
    }
  }

  private mutating func subscripted(_ node: Expression) throws(Failure) -> Expression {
    let line = self.line
    advance()
    if isMark(":") { return try slice(of: node, start: nil, line: line) }
    if isMark("]") {
      advance()
      return try Expression(.item(node, try Expression(.tuple([]), line: line)), line: line)
    }
    let first = try expression()
    if isMark(":") { return try slice(of: node, start: first, line: line) }
    var items = [first]
    while skip(mark: ",") { items.append(try expression()) }
    try expect(mark: "]")
    let index = items.count == 1 ? first : try Expression(.tuple(items), line: line)
    return try Expression(.item(node, index), line: line)
  }

  private mutating func slice(of node: Expression, start: Expression?, line: Int) throws(Failure)
    -> Expression
  {
    try expect(mark: ":")
    let stop = isMark(":") || isMark("]") ? nil : try expression()
    var step: Expression?
    if skip(mark: ":"), !isMark("]") { step = try expression() }
    try expect(mark: "]")
    return try Expression(.slice(node, start: start, stop: stop, step: step), line: line)
  }

  private mutating func call(_ node: Expression) throws(Failure) -> Expression {
    let line = self.line
    return try Expression(.call(node, try arguments()), line: line)
  }

  mutating func arguments() throws(Failure) -> Expression.Arguments {
    let line = self.line
    try expect(mark: "(")
    var result = Expression.Arguments()
    var isFirst = true
    while !isMark(")") {
      if !isFirst { try expect(mark: ",") }
      if isMark(")") { break }
      isFirst = false
      guard try argument(into: &result) else { throw fail("arguments in a wrong order", line: line) }
    }
    try expect(mark: ")")
    return result
  }

  /// False if the argument may not stand after those before it.
  private mutating func argument(into result: inout Expression.Arguments) throws(Failure) -> Bool {
    if skip(mark: "*") {
      guard result.list == nil, result.object == nil else { return false }
      result.list = try expression()
    } else if skip(mark: "**") {
      guard result.object == nil else { return false }
      result.object = try expression()
    } else if case .name(let name) = token.kind, following.kind == .mark("=") {
      guard result.object == nil else { return false }
      at += 2
      result.keywords.append(.init(name: name, value: try expression()))
    } else {
      guard result.list == nil, result.object == nil, result.keywords.isEmpty else { return false }
      result.positional.append(try expression())
    }
    return true
  }

  private mutating func dottedName() throws(Failure) -> String {
    var name = try expectName()
    while skip(mark: ".") { name += "." + (try expectName()) }
    return name
  }

  mutating func filter(of node: Expression?) throws(Failure) -> Expression {
    let line = self.line
    let name = try dottedName()
    let arguments = isMark("(") ? try arguments() : Expression.Arguments()
    return try Expression(.filter(node, name, arguments), line: line)
  }

  private mutating func test(of node: Expression) throws(Failure) -> Expression {
    let line = self.line
    advance()
    let isNegated = skip(name: "not")
    let name = try dottedName()
    var arguments = Expression.Arguments()
    if isMark("(") {
      arguments = try self.arguments()
    } else if startsArgument {
      if isName("is") { throw fail("tests with 'is' cannot follow each other") }
      let argument = try nested { (parser) throws(Failure) in try parser.postfix(try parser.primary()) }
      arguments.positional = [argument]
    }
    let test = try Expression(.test(node, name, arguments), line: line)
    return isNegated ? try Expression(.not(test), line: line) : test
  }

  /// Whether a value follows that can be a test's only argument, without parentheses.
  private var startsArgument: Bool {
    switch token.kind {
    case .name(let name): !["else", "or", "and"].contains(name)
    case .string, .integer, .float, .mark("["), .mark("{"): true
    default: false
    }
  }
}

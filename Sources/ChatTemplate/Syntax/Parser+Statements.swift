/// The body of a template, and the tags in it.
extension Parser {
  /// Statements up to one of the tags that end them, which stays to be read; to the end of the template if there is none.
  mutating func body(until ends: [String]) throws(Failure) -> [Statement] {
    var statements: [Statement] = []
    while true {
      let line = self.line
      switch token.kind {
      case .data(let text):
        advance()
        statements.append(Statement(kind: .text(text), line: line))
      case .variableBegin:
        advance()
        let value = try tuple()
        try expect(.variableEnd)
        statements.append(Statement(kind: .output(value), line: line))
      case .blockBegin:
        advance()
        if case .name(let name) = token.kind, ends.contains(name) { return statements }
        statements += try nested { (parser) throws(Failure) in try parser.statement(line, ends) }
        try expect(.blockEnd)
      case .end where ends.isEmpty: return statements
      case .end: throw fail("the template ends before \(Self.list(ends))")
      default: throw fail("unexpected \(token.shown)")
      }
    }
  }

  private static func list(_ ends: [String]) -> String {
    ends.map { "{% \($0) %}" }.joined(separator: " or ")
  }

  /// The body of a block whose last tag is taken too, up to its closing `%}`.
  private mutating func block(_ end: String) throws(Failure) -> [Statement] {
    let body = try blockBody([end])
    advance()
    return body
  }

  private mutating func blockBody(_ ends: [String]) throws(Failure) -> [Statement] {
    _ = skip(mark: ":")
    try expect(.blockEnd)
    return try body(until: ends)
  }

  private mutating func statement(_ line: Int, _ ends: [String]) throws(Failure) -> [Statement] {
    let tag = try expectName()
    func one(_ kind: Statement.Kind) -> [Statement] { [Statement(kind: kind, line: line)] }
    switch tag {
    case "if": return one(try branches())
    case "for": return one(try loop())
    case "set": return one(try set())
    case "with": return one(try with())
    case "macro": return one(try macro())
    case "call": return one(try callBlock(line))
    case "filter": return one(try filterBlock())
    case "generation": return one(.generation(try block("endgeneration")))
    case "print": return try print(line)
    case "break", "continue":
      guard loops > 0 else { throw fail("'\(tag)' outside a loop", line: line) }
      return one(tag == "break" ? .leave : .next)
    case "block", "extends", "include", "import", "from", "autoescape", "do", "trans", "debug":
      throw fail("the tag '\(tag)' is not supported in chat templates", line: line)
    default:
      let expected = ends.isEmpty ? "" : "; expected \(Self.list(ends))"
      throw fail("unknown tag '\(tag)'\(expected)", line: line)
    }
  }

  private mutating func branches() throws(Failure) -> Statement.Kind {
    var branches: [Statement.Branch] = []
    while true {
      let test = try tuple(withCondition: false)
      branches.append(.init(test: test, body: try blockBody(["elif", "else", "endif"])))
      switch try expectName() {
      case "elif": continue
      case "else": return .branches(branches, otherwise: try block("endif"))
      default: return .branches(branches, otherwise: [])
      }
    }
  }

  private mutating func loop() throws(Failure) -> Statement.Kind {
    let target = try target(endName: "in")
    if case .name(NameTable.loop) = target { throw fail("'loop' cannot be a loop's variable") }
    _ = try expectName("in")
    let items = try tuple(withCondition: false, endName: "recursive")
    let test = skip(name: "if") ? try expression() : nil
    let isRecursive = skip(name: "recursive")
    loops += 1
    let body = try blockBody(["endfor", "else"])
    loops -= 1
    let otherwise = try expectName() == "else" ? try block("endfor") : []
    return .loop(
      .init(
        target: target, items: items, test: test, isRecursive: isRecursive, body: body, otherwise: otherwise))
  }

  private mutating func set() throws(Failure) -> Statement.Kind {
    let target = try target(withAttribute: true)
    if skip(mark: "=") { return .set(target, try tuple()) }
    var filters: Expression?
    while skip(mark: "|") { filters = try filter(of: filters) }
    return .setBlock(target, filters: filters, body: try block("endset"))
  }

  private mutating func with() throws(Failure) -> Statement.Kind {
    var values: [(target: Statement.Target, value: Expression)] = []
    while token.kind != .blockEnd {
      if !values.isEmpty { try expect(mark: ",") }
      let target = try target()
      try expect(mark: "=")
      values.append((target, try expression()))
    }
    return .with(values, body: try block("endwith"))
  }

  private mutating func macro() throws(Failure) -> Statement.Kind {
    let name = try expectName()
    let number = names.insert(name)
    let parameters = try parameters()
    return .macro(number, try macroBody(name, parameters, end: "endmacro"))
  }

  /// The body is a place of its own: loops around it end with it.
  private mutating func macroBody(
    _ name: String, _ parameters: [Statement.Macro.Parameter], end: String
  ) throws(Failure) -> Statement.Macro {
    let outerLoops = loops
    loops = 0
    mentions.append([])
    let body = try block(end)
    loops = outerLoops
    return Statement.Macro(
      name: name, parameters: parameters, body: body, mentions: mentions.popLast() ?? [])
  }

  private mutating func parameters() throws(Failure) -> [Statement.Macro.Parameter] {
    try expect(mark: "(")
    var parameters: [Statement.Macro.Parameter] = []
    while !isMark(")") {
      if !parameters.isEmpty { try expect(mark: ",") }
      let name = names.insert(try expectName())
      let value = skip(mark: "=") ? try expression() : nil
      if value == nil, parameters.last?.defaultValue != nil {
        throw fail("a parameter without a default follows one with a default")
      }
      parameters.append(.init(name: name, defaultValue: value))
    }
    try expect(mark: ")")
    return parameters
  }

  private mutating func callBlock(_ line: Int) throws(Failure) -> Statement.Kind {
    let parameters = isMark("(") ? try parameters() : []
    let call = try expression()
    guard case .call = call.kind else { throw fail("expected a call", line: line) }
    return .call(call, try macroBody("caller", parameters, end: "endcall"))
  }

  private mutating func filterBlock() throws(Failure) -> Statement.Kind {
    var filters = try filter(of: nil)
    while skip(mark: "|") { filters = try filter(of: filters) }
    return .filter(filters, body: try block("endfilter"))
  }

  private mutating func print(_ line: Int) throws(Failure) -> [Statement] {
    var statements: [Statement] = []
    while token.kind != .blockEnd {
      if !statements.isEmpty { try expect(mark: ",") }
      statements.append(Statement(kind: .output(try expression()), line: line))
    }
    return statements
  }

  /// A name, or names with commas between them.
  private mutating func target(
    endName: String? = nil, withAttribute: Bool = false
  ) throws(Failure) -> Statement.Target {
    try nested { (parser) throws(Failure) in
      try parser.targets(endName: endName, withAttribute: withAttribute)
    }
  }

  private mutating func targets(endName: String?, withAttribute: Bool) throws(Failure) -> Statement.Target {
    var targets: [Statement.Target] = []
    var isTuple = false
    while true {
      if !targets.isEmpty { try expect(mark: ",") }
      if isMark(")") || token.kind == .blockEnd { break }
      if let endName, isName(endName) { break }
      targets.append(try singleTarget(withAttribute: withAttribute))
      guard isMark(",") else { break }
      isTuple = true
    }
    if !isTuple, let target = targets.first { return target }
    guard isTuple else { throw fail("expected a name, not \(token.shown)") }
    return .tuple(targets)
  }

  private mutating func singleTarget(withAttribute: Bool) throws(Failure) -> Statement.Target {
    if skip(mark: "(") {
      let inside = try target()
      try expect(mark: ")")
      return inside
    }
    let name = try expectName()
    if ["true", "false", "none", "True", "False", "None"].contains(name) {
      throw fail("'\(name)' cannot be assigned to")
    }
    let number = names.insert(name)
    if withAttribute, skip(mark: ".") { return .attribute(number, try expectName()) }
    return .name(number)
  }
}

/// What a template's text comes to: statements, and the names that they use.
struct ParsedTemplate: Sendable {
  let body: [Statement]
  let names: NameTable
}

/// Numbers for the names of variables.
struct NameTable: Sendable {
  static let loop = 0
  static let caller = 1
  static let keywords = 2
  static let list = 3

  private(set) var names = ["loop", "caller", "kwargs", "varargs"]
  private var numbers = ["loop": 0, "caller": 1, "kwargs": 2, "varargs": 3]

  func number(of name: String) -> Int? { numbers[name] }

  mutating func insert(_ name: String) -> Int {
    if let number = numbers[name] { return number }
    numbers[name] = names.count
    names.append(name)
    return names.count - 1
  }
}

/// Reads a template by recursive descent, with the grammar of Jinja 3.1.
struct Parser {
  var tokens: [Token]
  var at = 0
  var names = NameTable()
  private var nesting = 0
  /// For each macro that is being read, which special names its body mentions.
  var mentions: [Set<Int>] = []
  /// Loops around the place in the same macro, which `break` and `continue` need.
  var loops = 0

  static func parse(_ text: String) throws(Failure) -> ParsedTemplate {
    var parser = Parser(tokens: try Lexer.tokens(of: text))
    let body = try parser.body(until: [])
    return ParsedTemplate(body: body, names: parser.names)
  }

  private init(tokens: [Token]) { self.tokens = tokens }

  var token: Token { tokens[min(at, tokens.count - 1)] }
  var following: Token { tokens[min(at + 1, tokens.count - 1)] }
  var line: Int { token.line }

  mutating func advance() { at += 1 }

  func fail(_ reason: String, line: Int? = nil) -> Failure { Failure(reason, line: line ?? self.line) }

  func isMark(_ mark: String) -> Bool { token.kind == .mark(mark) }
  func isName(_ name: String) -> Bool { token.kind == .name(name) }

  mutating func skip(mark: String) -> Bool {
    guard isMark(mark) else { return false }
    advance()
    return true
  }

  mutating func skip(name: String) -> Bool {
    guard isName(name) else { return false }
    advance()
    return true
  }

  mutating func expect(mark: String) throws(Failure) {
    guard skip(mark: mark) else { throw fail("expected '\(mark)', not \(token.shown)") }
  }

  mutating func expect(_ kind: Token.Kind) throws(Failure) {
    guard token.kind == kind else {
      throw fail("expected \(Token(kind: kind, line: 0).shown), not \(token.shown)")
    }
    advance()
  }

  mutating func expectName(_ name: String? = nil) throws(Failure) -> String {
    guard case .name(let found) = token.kind, name == nil || name == found else {
      throw fail("expected \(name.map { "'\($0)'" } ?? "a name"), not \(token.shown)")
    }
    advance()
    return found
  }

  /// One level deeper into the source. Every function that may come back to itself is called through this.
  mutating func nested<T>(_ read: (inout Parser) throws(Failure) -> T) throws(Failure) -> T {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= Limits.nesting else {
      throw fail("more than \(Limits.nesting) levels inside each other")
    }
    return try read(&self)
  }
}

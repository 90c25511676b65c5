/// What went wrong inside a template; becomes a `ChatTemplateError` once the template's name is known.
struct Failure: Error {
  let reason: String
  /// 1-based line of the template where it is known; otherwise that of the statement being rendered.
  var line: Int?

  init(_ reason: String, line: Int? = nil) {
    self.reason = reason
    self.line = line
  }
}

/// What no template may go beyond, so that one from outside can neither hang nor exhaust a program.
enum Limits {
  /// Unicode scalars of a template's source.
  static let source = 4 << 20
  /// Levels of brackets, prefixes and blocks in the source.
  static let nesting = 100
  /// Levels of an expression's tree.
  static let expressionDepth = 150
  /// Statements, expressions and macros that are being evaluated at one time.
  static let evaluationDepth = 300
  /// Units of work of a rendering: an expression counts 1, and so do 64 bytes of a string that is made or read.
  static let steps = 30_000_000
  /// Bytes of a rendering, and of each string in it.
  static let text = 16 << 20
  /// Bytes of all strings and lists that a rendering makes, gone ones included.
  static let allocation = 1 << 30
  /// Items of a list that is made.
  static let items = 1_000_000
  /// Values that one consists of.
  static let weight = 4_000_000
  /// Levels of lists, objects and iterators inside each other.
  static let valueDepth = 200
  /// What may live to the end of a rendering: namespaces, and scopes that macros have taken along.
  static let retained = 100_000
  /// Items of a `range`, as in Jinja's sandbox.
  static let range = 100_000
}

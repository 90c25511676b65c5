/// Renders one conversation: walks through the statements with the variables that are in force.
struct Renderer {
  enum Flow { case onward, leave, next }

  let names: NameTable
  let date: TemplateDate
  var budget: Budget
  var output = ""
  var scope = Scope(parent: nil)
  /// The line being rendered, for errors.
  var line = 1
  private var depth = 0
  /// What may refer to itself in a circle, and is taken apart at the end.
  private var namespaces: [Namespace] = []
  private var retained: [Scope] = []

  init(names: NameTable, date: TemplateDate, steps: Int) {
    self.names = names
    budget = Budget(steps: steps)
    self.date = date
  }

  static func render(
    _ template: ParsedTemplate, variables: [(name: String, value: Value)], date: TemplateDate,
    steps: Int = Limits.steps
  ) throws(Failure) -> String {
    var renderer = Renderer(names: template.names, date: date, steps: steps)
    for variable in variables {
      if let number = template.names.number(of: variable.name) { renderer.scope.set(number, variable.value) }
    }
    defer { renderer.takeApart() }
    do {
      _ = try renderer.run(template.body)
    } catch {
      throw Failure(error.reason, line: error.line ?? renderer.line)
    }
    return renderer.output
  }

  private mutating func takeApart() {
    for namespace in namespaces {
      namespace.names = []
      namespace.values = []
    }
    for scope in retained { scope.removeAll() }
    scope.removeAll()
  }

  // MARK: Limits

  /// One level deeper into the template.
  mutating func deeper<T>(_ work: (inout Renderer) throws(Failure) -> T) throws(Failure) -> T {
    try enter()
    defer { depth -= 1 }
    return try work(&self)
  }

  private mutating func enter() throws(Failure) {
    depth += 1
    guard depth <= Limits.evaluationDepth else {
      depth -= 1
      throw Failure("more than \(Limits.evaluationDepth) levels of macros and blocks inside each other")
    }
    try budget.spend()
  }

  mutating func makeNamespace() throws(Failure) -> Namespace {
    guard namespaces.count < Limits.retained else { throw Failure("more than \(Limits.retained) namespaces") }
    let namespace = Namespace()
    namespaces.append(namespace)
    return namespace
  }

  /// The scope in force, for a macro to take along.
  mutating func retainedScope() throws(Failure) -> Scope {
    guard retained.count < Limits.retained else { throw Failure("more than \(Limits.retained) macros") }
    if retained.last !== scope { retained.append(scope) }
    return scope
  }

  // MARK: Output

  mutating func write(_ text: String) throws(Failure) {
    guard output.utf8.count + text.utf8.count <= Limits.text else {
      throw Failure("the text is longer than \(Limits.text >> 20) MiB")
    }
    output += text
    try budget.spend(text: text)
  }

  /// What some work writes, in a scope of its own.
  mutating func captured(
    in inner: Scope, _ work: (inout Renderer) throws(Failure) -> Void
  ) throws(Failure) -> String {
    let outer = output
    output = ""
    defer { output = outer }
    try inScope(inner, work)
    try budget.allocate(bytes: output.utf8.count)
    return output
  }

  mutating func inScope<T>(
    _ inner: Scope, _ work: (inout Renderer) throws(Failure) -> T
  ) throws(Failure) -> T {
    let outer = scope
    scope = inner
    defer { scope = outer }
    return try work(&self)
  }

  // MARK: Values

  /// A string that was made.
  mutating func made(_ text: String) throws(Failure) -> Value {
    try budget.allocate(bytes: text.utf8.count)
    return .string(text)
  }

  /// A list that was made.
  mutating func made(_ items: [Value]) throws(Failure) -> Value {
    try budget.allocate(items: items.count)
    return try .list(items)
  }

  mutating func text(of value: Value) throws(Failure) -> String {
    if case .string(let text) = value.plain { return text }
    try budget.spend(value.weight)
    return try Representation.text(value)
  }

  /// All items of a value, in a list.
  mutating func items(of value: Value) throws(Failure) -> [Value] {
    switch value {
    case .list(let items), .tuple(let items): return items.values
    default:
      let items = try Generator.over(value).rest(&self)
      try budget.allocate(items: items.count)
      return items
    }
  }
}

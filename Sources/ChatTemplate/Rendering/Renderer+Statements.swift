extension Renderer {
  mutating func run(_ statements: [Statement]) throws(Failure) -> Flow {
    for statement in statements {
      line = statement.line
      let flow: Flow
      switch statement.kind {
      case .text(let text):
        try write(text)
        continue
      case .output(let expression):
        try write(try text(of: try evaluate(expression)))
        continue
      default: flow = try deeper { (renderer) throws(Failure) in try renderer.run(statement) }
      }
      if flow != .onward { return flow }
    }
    return .onward
  }

  private mutating func run(_ statement: Statement) throws(Failure) -> Flow {
    switch statement.kind {
    case .text, .output: break
    case .leave: return .leave
    case .next: return .next
    case .branches(let branches, let otherwise): return try run(branches, otherwise: otherwise)
    case .loop(let loop): try run(loop)
    case .set(let target, let value): try assign(try evaluate(value), to: target)
    case .setBlock(let target, let filters, let body):
      try assign(try filtered(body, by: filters), to: target)
    case .filter(let filters, let body): try write(try text(of: try filtered(body, by: filters)))
    case .with(let values, let body): return try run(values, body)
    case .macro(let name, let macro):
      scope.set(name, .function(MacroCall.function(macro, scope: try retainedScope())))
    case .call(let call, let body): try write(try text(of: try evaluate(call, caller: body)))
    case .generation(let body):
      return try inScope(Scope(parent: scope)) { (renderer) throws(Failure) in try renderer.run(body) }
    }
    return .onward
  }

  private mutating func run(
    _ branches: [Statement.Branch], otherwise: [Statement]
  ) throws(Failure) -> Flow {
    for branch in branches where try evaluate(branch.test).isTrue { return try run(branch.body) }
    return try run(otherwise)
  }

  private mutating func run(
    _ values: [(target: Statement.Target, value: Expression)], _ body: [Statement]
  ) throws(Failure) -> Flow {
    let inner = Scope(parent: scope)
    for (target, value) in values {
      let result = try evaluate(value)
      try inScope(inner) { (renderer) throws(Failure) in try renderer.assign(result, to: target) }
    }
    return try inScope(inner) { (renderer) throws(Failure) in try renderer.run(body) }
  }

  private mutating func filtered(_ body: [Statement], by filters: Expression?) throws(Failure) -> Value {
    let text = try captured(in: Scope(parent: scope)) { (renderer) throws(Failure) in
      _ = try renderer.run(body)
    }
    guard let filters else { return .string(text) }
    return try evaluate(filters, subject: .string(text))
  }

  mutating func assign(_ value: Value, to target: Statement.Target) throws(Failure) {
    switch target {
    case .name(let name): scope.set(name, value)
    case .attribute(let name, let attribute):
      guard case .namespace(let namespace) = scope[name] else {
        throw Failure("'\(names.names[name])' is no namespace, whose attributes alone can be set")
      }
      try Globals.checkAttribute(attribute)
      try budget.spend(namespace.names.count)
      namespace[attribute] = value
    case .tuple(let targets):
      let values = try items(of: value)
      guard values.count == targets.count else {
        throw Failure("\(targets.count) variables cannot be set to \(values.count) values")
      }
      for (target, value) in zip(targets, values) { try assign(value, to: target) }
    }
  }
}

extension Renderer {
  private mutating func run(_ loop: Statement.Loop) throws(Failure) {
    try iterate(loop, over: try evaluate(loop.items), level: 0)
  }

  mutating func iterate(_ loop: Statement.Loop, over value: Value, level: Int) throws(Failure) {
    let outer = scope
    var generator = try Generator.over(value)
    var length = loop.test == nil ? Filters.length(of: value) : nil
    if let test = loop.test {
      generator = try selecting(generator, target: loop.target, test: test)
      length = nil
    }
    let state = LoopState(loop, scope: outer, level: level, generator: generator, length: length)
    var inner = Scope(parent: outer)
    // As in Jinja, a round that ends by `break` or `continue` does not keep `else` from running.
    var hasRun = false
    defer { scope = outer }
    while let item = try state.next(&self) {
      try budget.spend()
      scope = inner
      inner.set(NameTable.loop, .loop(state))
      try assign(item, to: loop.target)
      let flow = try run(loop.body)
      scope = outer
      if flow == .leave { break }
      if flow == .onward { hasRun = true }
      if isKnownUniquelyReferenced(&inner) { inner.removeAll() } else { inner = Scope(parent: outer) }
    }
    if !hasRun {
      _ = try inScope(Scope(parent: outer)) { (renderer) throws(Failure) in try renderer.run(loop.otherwise) }
    }
  }

  /// The items for which a loop's condition holds, tested when they are asked for.
  private func selecting(
    _ items: Generator, target: Statement.Target, test: Expression
  ) throws(Failure) -> Generator {
    let outer = scope
    return try Generator(depth: items.depth) { (renderer) throws(Failure) in
      while let item = try items.next(&renderer) {
        let holds = try renderer.inScope(Scope(parent: outer)) { (renderer) throws(Failure) in
          try renderer.assign(item, to: target)
          return try renderer.evaluate(test).isTrue
        }
        if holds { return item }
      }
      return nil
    }
  }
}

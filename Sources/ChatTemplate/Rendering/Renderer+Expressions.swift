extension Renderer {
  /// - Parameters:
  ///   - subject: What the first filter of a chain without a subject is applied to.
  ///   - caller: The body of a `call` block, given to the call that the expression is.
  mutating func evaluate(
    _ expression: Expression, subject: Value? = nil, caller: Statement.Macro? = nil
  ) throws(Failure) -> Value {
    switch expression.kind {
    case .none: return .none
    case .bool(let flag): return .bool(flag)
    case .integer(let number): return .int(number)
    case .float(let number): return .float(number)
    case .string(let text): return .string(text)
    case .name(let name): return try variable(name)
    default:
      return try deeper { (renderer) throws(Failure) in
        try renderer.compute(expression, subject: subject, caller: caller)
      }
    }
  }

  private mutating func variable(_ name: Int) throws(Failure) -> Value {
    try budget.spend()
    if let value = scope[name] { return value }
    let text = names.names[name]
    return Globals.value(text) ?? Undefined.named(text)
  }

  private mutating func compute(
    _ expression: Expression, subject: Value?, caller: Statement.Macro?
  ) throws(Failure) -> Value {
    switch expression.kind {
    case .none, .bool, .integer, .float, .string, .name: return try evaluate(expression)
    case .list(let items): return try made(try evaluate(items))
    case .tuple(let items): return try .tuple(try evaluate(items))
    case .dict(let pairs): return try dict(pairs)
    case .attribute(let owner, let name): return try attribute(name, of: try evaluate(owner))
    case .item(let owner, let index):
      let value = try evaluate(owner)
      return try item(try evaluate(index), of: value)
    case .slice(let owner, let start, let stop, let step):
      return try slice(try evaluate(owner), start: start, stop: stop, step: step)
    case .call(let callee, let arguments):
      line = expression.line
      return try call(callee, arguments, caller: caller)
    case .filter(let inner, let name, let arguments):
      return try filter(inner, name, arguments, subject: subject, line: expression.line)
    case .test(let inner, let name, let arguments):
      let value = try evaluate(inner)
      return .bool(try Tests.apply(name, to: value, try evaluate(arguments), &self))
    case .not(let inner): return .bool(!(try evaluate(inner).isTrue))
    case .negative(let inner): return try Operators.negative(try evaluate(inner))
    case .positive(let inner): return try Operators.positive(try evaluate(inner))
    case .binary(let binary, let left, let right):
      return try Operators.apply(binary, try evaluate(left), try evaluate(right), &self)
    case .compare(let first, let operands): return .bool(try compare(first, operands))
    case .and(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? try evaluate(right) : value
    case .or(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? value : try evaluate(right)
    case .conditional(let test, let then, let otherwise):
      if try evaluate(test).isTrue { return try evaluate(then) }
      guard let otherwise else {
        return Undefined.because(
          "the condition on line \(expression.line) does not hold, and there is no else")
      }
      return try evaluate(otherwise)
    case .concatenation(let parts): return try concatenate(parts)
    }
  }

  private mutating func evaluate(_ expressions: [Expression]) throws(Failure) -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(expressions.count)
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  mutating func evaluate(_ arguments: Expression.Arguments) throws(Failure) -> Arguments {
    var result = Arguments()
    result.positional = try evaluate(arguments.positional)
    for keyword in arguments.keywords {
      result.keywords.append((keyword.name, try evaluate(keyword.value)))
    }
    if let list = arguments.list { result.positional += try items(of: try evaluate(list)) }
    guard let object = arguments.object else { return result }
    guard case .dict(let dict) = try evaluate(object) else {
      throw Failure("what stands after ** must be an object")
    }
    for (key, value) in zip(dict.keys, dict.values) {
      guard case .string(let name) = key else { throw Failure("keywords must be strings") }
      guard !result.keywords.contains(where: { PythonText.same($0.name, name) }) else {
        throw Failure("the keyword argument '\(name)' is given twice")
      }
      result.keywords.append((name, value))
    }
    return result
  }

  private mutating func dict(_ pairs: [Expression.Pair]) throws(Failure) -> Value {
    let dict = Dict()
    for pair in pairs { try dict.insert(try evaluate(pair.key), try evaluate(pair.value)) }
    return .dict(dict)
  }

  private mutating func concatenate(_ parts: [Expression]) throws(Failure) -> Value {
    var text = ""
    for part in parts {
      text += try self.text(of: try evaluate(part))
      guard text.utf8.count <= Limits.text else {
        throw Failure("a text of more than \(Limits.text >> 20) MiB")
      }
    }
    return try made(text)
  }

  private mutating func compare(
    _ first: Expression, _ operands: [Expression.Operand]
  ) throws(Failure) -> Bool {
    var left = try evaluate(first)
    for operand in operands {
      let right = try evaluate(operand.value)
      guard try Operators.compare(operand.comparison, left, right, &self) else { return false }
      left = right
    }
    return true
  }

  private mutating func call(
    _ callee: Expression, _ arguments: Expression.Arguments, caller: Statement.Macro?
  ) throws(Failure) -> Value {
    let function = try evaluate(callee)
    var values = try evaluate(arguments)
    if let caller {
      let body = MacroCall.function(caller, scope: try retainedScope())
      values.keywords.append(("caller", .function(body)))
    }
    return try call(function, values)
  }

  mutating func call(_ function: Value, _ arguments: Arguments) throws(Failure) -> Value {
    switch function {
    case .function(let function): return try function.call(&self, arguments)
    case .undefined(let undefined): throw undefined.failure
    case .loop(let loop):
      guard loop.statement.isRecursive else {
        throw Failure("a loop needs the word 'recursive' to be called")
      }
      let items = try arguments.list(of: "loop", 1...1)[0]
      return .string(
        try captured(in: loop.scope) { (renderer) throws(Failure) in
          try renderer.deeper { (renderer) throws(Failure) in
            try renderer.iterate(loop.statement, over: items, level: loop.level + 1)
          }
        })
    default: throw Failure("'\(function.type)' object is not callable")
    }
  }

  private mutating func filter(
    _ inner: Expression?, _ name: String, _ arguments: Expression.Arguments, subject: Value?, line: Int
  ) throws(Failure) -> Value {
    let value = try inner.map { (inner) throws(Failure) in try evaluate(inner, subject: subject) }
    let given = try evaluate(arguments)
    self.line = line
    return try Filters.apply(name, to: value ?? subject ?? .emptyString, given, &self)
  }
}

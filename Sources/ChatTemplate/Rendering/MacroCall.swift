/// The call of a macro.
enum MacroCall {
  static func function(_ macro: Statement.Macro, scope: Scope) -> Function {
    Function(macro.name) { (renderer, arguments) throws(Failure) in
      let inner = Scope(parent: scope)
      try bind(arguments, to: macro, in: inner, &renderer)
      let line = renderer.line
      let text = try renderer.captured(in: inner) { (renderer) throws(Failure) in
        _ = try renderer.deeper { (renderer) throws(Failure) in try renderer.run(macro.body) }
      }
      renderer.line = line
      return .string(text)
    }
  }

  private static func bind(
    _ arguments: Arguments, to macro: Statement.Macro, in inner: Scope, _ renderer: inout Renderer
  ) throws(Failure) {
    var arguments = arguments
    let names = renderer.names.names
    let isExplicit = macro.parameters.contains { $0.name == NameTable.caller }
    for (i, parameter) in macro.parameters.enumerated() {
      let given =
        i < arguments.positional.count
        ? arguments.positional[i] : arguments.take(keyword: names[parameter.name])
      if let given {
        inner.set(parameter.name, given)
      } else {
        inner.set(parameter.name, try defaultValue(of: parameter, in: inner, &renderer))
      }
    }
    if macro.mentions.contains(NameTable.caller), !isExplicit {
      let caller = arguments.take(keyword: "caller")
      inner.set(NameTable.caller, caller ?? Undefined.because("No caller defined"))
    }
    try bindRest(arguments, of: macro, in: inner)
  }

  private static func defaultValue(
    of parameter: Statement.Macro.Parameter, in inner: Scope, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    guard let value = parameter.defaultValue else {
      return Undefined.because("parameter '\(renderer.names.names[parameter.name])' was not provided")
    }
    return try renderer.inScope(inner) { (renderer) throws(Failure) in try renderer.evaluate(value) }
  }

  private static func bindRest(
    _ arguments: Arguments, of macro: Statement.Macro, in inner: Scope
  ) throws(Failure) {
    if macro.mentions.contains(NameTable.keywords) {
      inner.set(
        NameTable.keywords, .dict(try Dict(arguments.keywords.map { (.string($0.name), $0.value) })))
    } else if let keyword = arguments.keywords.first {
      throw Failure("macro '\(macro.name)' takes no keyword argument '\(keyword.name)'")
    }
    let rest = Array(arguments.positional.dropFirst(macro.parameters.count))
    if macro.mentions.contains(NameTable.list) {
      inner.set(NameTable.list, try .tuple(rest))
    } else if !rest.isEmpty {
      throw Failure("macro '\(macro.name)' takes not more than \(macro.parameters.count) arguments")
    }
  }
}

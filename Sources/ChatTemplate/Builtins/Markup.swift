/// Text that counts as escaped, as markupsafe's `Markup`: what is joined with it is escaped for HTML first.
enum Markup {
  static func escaped(_ text: String) -> String {
    guard text.utf8.contains(where: { [0x26, 0x3C, 0x3E, 0x22, 0x27].contains($0) }) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&#34;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Filters that give marked text for marked text.
  static let keeping: Set<String> = [
    "default", "d", "upper", "lower", "capitalize", "trim", "string", "center", "indent", "truncate",
    "reverse",
  ]

  /// An operator of which a side is marked; nil for other operators and values.
  static func apply(
    _ binary: Expression.Binary, _ a: Value, _ b: Value, _ renderer: inout Renderer
  ) throws(Failure) -> Value? {
    switch (binary, a, b) {
    case (.add, .markup, .string), (.add, .markup, .markup), (.add, .string, .markup):
      guard case .markup(let x) = a.escapedText, case .markup(let y) = b.escapedText else { return nil }
      return try renderer.made(x + y).marked
    case (.modulo, .markup(let format), _):
      return try renderer.made(try PercentFormat.apply(format, escaping(b), &renderer)).marked
    case (.multiply, .markup, _), (.multiply, _, .markup):
      return try Operators.apply(binary, a.plain, b.plain, &renderer).marked
    default: return nil
    }
  }

  /// The strings of a value that is formatted, escaped.
  private static func escaping(_ value: Value) throws(Failure) -> Value {
    switch value {
    case .tuple(let items): try .tuple(items.values.map { $0.escapedText })
    case .dict(let dict): .dict(try Dict(zip(dict.keys, dict.values).map { ($0, $1.escapedText) }))
    default: value.escapedText
    }
  }

  /// A method of marked text, whose strings are marked too.
  static func method(_ name: String, of text: String) -> Value? {
    guard let method = StringMethods.all[name] else { return nil }
    return .function(
      Function(name) { (renderer, arguments) throws(Failure) in
        try renderer.budget.spend(text: text)
        var arguments = arguments
        if name == "join", let items = arguments.positional.first {
          arguments.positional = [try .list(try renderer.items(of: items).map { $0.escapedText })]
        } else if name == "format" {
          arguments.positional = arguments.positional.map { $0.escapedText }
          arguments.keywords = arguments.keywords.map { ($0.name, $0.value.escapedText) }
        } else if name == "replace", arguments.positional.count > 1 {
          arguments.positional[1] = arguments.positional[1].escapedText
        }
        return try method(text, arguments.plain, &renderer).markedDeeply()
      })
  }
}

extension Value {
  /// Marked text as any other string; other values as they are.
  var plain: Value {
    if case .markup(let text) = self { return .string(text) }
    return self
  }

  /// A string as one that counts as escaped; other values as they are.
  var marked: Value {
    if case .string(let text) = self { return .markup(text) }
    return self
  }

  /// A string as marked text, escaped unless it is; other values as they are.
  fileprivate var escapedText: Value {
    if case .string(let text) = self { return .markup(Markup.escaped(text)) }
    return self
  }

  fileprivate func markedDeeply() throws(Failure) -> Value {
    switch self {
    case .list(let items): try .list(items.values.map(\.marked))
    case .tuple(let items): try .tuple(items.values.map(\.marked))
    default: marked
    }
  }
}

/// Filters on strings. Other values are taken as their text.
extension Filters {
  private static func simple(_ change: @escaping @Sendable (String) -> String) -> Filter {
    { (value, _, renderer) throws(Failure) in try renderer.made(change(try renderer.text(of: value))) }
  }

  static let texts: [String: Filter] = [
    "upper": simple(PythonText.upper), "lower": simple(PythonText.lower),
    "capitalize": simple(PythonText.capitalize), "title": simple(titled),
    "safe": { (value, _, renderer) throws(Failure) in .markup(try renderer.text(of: value)) },
    "escape": escape, "e": escape, "forceescape": escape,
    "trim": { (value, arguments, renderer) throws(Failure) in
      let characters = try arguments.bound("chars", of: "trim").optionalText(0)
      return try renderer.made(TextSearch.stripped(try renderer.text(of: value), characters, .both))
    },
    "replace": { (value, arguments, renderer) throws(Failure) in
      let bound = try arguments.bound("old", "new", "count", of: "replace", required: 2)
      let old = try renderer.text(of: bound[0] ?? .none)
      let new = try renderer.text(of: bound[1] ?? .none)
      let text = try renderer.text(of: value)
      return .string(
        try TextSearch.replaced(text, old, new, try bound.optionalInt(2) ?? -1, &renderer.budget))
    },
    "format": { (value, arguments, renderer) throws(Failure) in
      let format = try renderer.text(of: value)
      guard arguments.keywords.isEmpty else {
        guard arguments.positional.isEmpty else {
          throw Failure("format takes arguments by place or by name, not both")
        }
        let names = try Dict(arguments.keywords.map { (.string($0.name), $0.value) })
        return try renderer.made(try PercentFormat.apply(format, .dict(names), &renderer))
      }
      return try renderer.made(try PercentFormat.apply(format, try .tuple(arguments.positional), &renderer))
    },
    "indent": indent, "truncate": truncate, "center": center, "wordcount": wordcount, "urlencode": urlencode,
  ]

  /// As `str.title`, but words begin after a blank, `-`, `(`, `{`, `[` or `<` alone.
  private static func titled(_ text: String) -> String {
    var result = ""
    var word = ""
    func finished(_ word: String) -> String {
      guard let first = word.unicodeScalars.first else { return "" }
      return PythonText.upper(String(first)) + PythonText.lower(String(word.unicodeScalars.dropFirst()))
    }
    for scalar in text.unicodeScalars {
      if PythonText.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) {
        result += finished(word)
        word = ""
        result.unicodeScalars.append(scalar)
      } else {
        word.unicodeScalars.append(scalar)
      }
    }
    return result + finished(word)
  }

  private static func escape(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    if case .markup = value { return value }
    let text = Markup.escaped(try renderer.text(of: value))
    try renderer.budget.allocate(bytes: text.utf8.count)
    return .markup(text)
  }

  private static func indent(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("width", "first", "blank", of: "indent")
    guard case .string(let text) = value else {
      if case .undefined(let undefined) = value { throw undefined.failure }
      throw Failure("indent needs a string, not \(value.type)")
    }
    var indentation = "    "
    if case .string(let width) = bound[0] {
      indentation = width
    } else if let width = try bound.int(0) {
      try renderer.budget.allocate(bytes: max(0, width))
      indentation = String(repeating: " ", count: max(0, width))
    }
    let lines = TextSearch.lines(of: text + "\n", keepingEnds: false)
    let (size, overflow) = indentation.utf8.count.multipliedReportingOverflow(by: lines.count + 1)
    try renderer.budget.allocate(bytes: overflow ? .max : text.utf8.count + size)
    var result = bound.flag(1) ? indentation : ""
    for (i, line) in lines.enumerated() {
      if i > 0 { result += "\n" + (bound.flag(2) || !line.isEmpty ? indentation : "") }
      result += line
    }
    return .string(result)
  }

  private static func truncate(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("length", "killwords", "end", "leeway", of: "truncate")
    let end = try bound.text(2) ?? "..."
    let length = try bound.int(0) ?? 255
    let leeway = try bound.optionalInt(3) ?? 5
    let kept = length.subtractingReportingOverflow(PythonText.count(end)).partialValue
    guard kept >= 0, leeway >= 0, length >= 0 else { throw Failure("truncate: the length must hold the end") }
    guard case .string(let text) = value else {
      if let count = Filters.length(of: value), count <= length || count - length <= leeway { return value }
      throw Failure("truncate needs a string, not \(value.type)")
    }
    let scalars = Array(text.unicodeScalars)
    guard scalars.count > length, scalars.count - length > leeway else { return .string(text) }
    let head = scalars[..<kept]
    if bound.flag(1) { return try renderer.made(PythonText.string(head) + end) }
    let word = head.lastIndex(of: " ").map { head[..<$0] } ?? head
    return try renderer.made(PythonText.string(word) + end)
  }

  private static func center(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let width = try arguments.bound("width", of: "center").int(0) ?? 80
    return .string(try TextSearch.padded(try renderer.text(of: value), width, " ", .both, &renderer.budget))
  }

  private static func wordcount(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    var count = 0
    var inWord = false
    for scalar in try renderer.text(of: value).unicodeScalars {
      let isWord = scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
      if isWord, !inWord { count += 1 }
      inWord = isWord
    }
    return .int(count)
  }

  private static func urlencode(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    switch value {
    case .list, .tuple, .dict, .view, .range, .generator:
      throw Failure("urlencode is supported for strings only, not for \(value.type)")
    default: break
    }
    let text = try renderer.text(of: value)
    let kept = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/".utf8)
    var result = ""
    for byte in text.utf8 {
      if kept.contains(byte) {
        result.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        result += digits.count < 2 ? "%0" + digits : "%" + digits
      }
    }
    return try renderer.made(result)
  }
}

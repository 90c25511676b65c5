/// The methods of strings.
enum StringMethods {
  typealias Method = @Sendable (String, Arguments, inout Renderer) throws(Failure) -> Value

  static let all: [String: Method] = changes.merging(predicates) { a, _ in a }.merging(searches) { a, _ in a }
    .merging(pieces) { a, _ in a }

  // MARK: Changes

  private static func simple(_ change: @escaping @Sendable (String) -> String) -> Method {
    { (text, arguments, renderer) throws(Failure) in
      guard arguments.isEmpty else { throw Failure("this method of a string takes no arguments") }
      return try renderer.made(change(text))
    }
  }

  private static func strip(_ name: String, _ side: TextSearch.Side) -> Method {
    { (text, arguments, renderer) throws(Failure) in
      let given = try arguments.list(of: name, 0...1)
      let characters = try optionalText(given.first, of: name)
      return try renderer.made(TextSearch.stripped(text, characters, side))
    }
  }

  private static func pad(_ name: String, _ side: TextSearch.Side) -> Method {
    { (text, arguments, renderer) throws(Failure) in
      let given = try arguments.list(of: name, 1...2)
      let fill = given.count > 1 ? try StringMethods.text(given[1], of: name) : " "
      return .string(try TextSearch.padded(text, try int(given[0], of: name), fill, side, &renderer.budget))
    }
  }

  private static let changes: [String: Method] = [
    "upper": simple(PythonText.upper), "lower": simple(PythonText.lower), "title": simple(PythonText.title),
    "capitalize": simple(PythonText.capitalize), "swapcase": simple(swapcase),
    "casefold": simple { PythonText.lower($0.contains("ß") ? $0.replacing("ß", with: "ss") : $0) },
    "strip": strip("strip", .both), "lstrip": strip("lstrip", .left), "rstrip": strip("rstrip", .right),
    "center": pad("center", .both), "ljust": pad("ljust", .right), "rjust": pad("rjust", .left),
    "zfill": zfill,
    "removeprefix": { (text, arguments, renderer) throws(Failure) in
      let prefix = try StringMethods.text(arguments.list(of: "removeprefix", 1...1)[0], of: "removeprefix")
      return text.utf8.starts(with: prefix.utf8)
        ? try renderer.made(TextSearch.string(text.utf8.dropFirst(prefix.utf8.count))) : .string(text)
    },
    "removesuffix": { (text, arguments, renderer) throws(Failure) in
      let suffix = try StringMethods.text(arguments.list(of: "removesuffix", 1...1)[0], of: "removesuffix")
      return text.utf8.reversed().starts(with: suffix.utf8.reversed())
        ? try renderer.made(TextSearch.string(text.utf8.dropLast(suffix.utf8.count))) : .string(text)
    },
    "replace": { (text, arguments, renderer) throws(Failure) in
      let given = try arguments.list(of: "replace", 2...3)
      let count = given.count > 2 ? try int(given[2], of: "replace") : -1
      let old = try StringMethods.text(given[0], of: "replace")
      let new = try StringMethods.text(given[1], of: "replace")
      return .string(try TextSearch.replaced(text, old, new, count, &renderer.budget))
    },
    "format": { (text, arguments, renderer) throws(Failure) in
      try renderer.made(try BraceFormat.apply(text, arguments, &renderer))
    },
  ]

  private static func swapcase(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for (i, scalar) in scalars.enumerated() {
      result +=
        scalar.properties.isUppercase ? PythonText.lower(i, of: scalars) : scalar.properties.uppercaseMapping
    }
    return result
  }

  @Sendable private static func zfill(
    _ text: String, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let width = try int(arguments.list(of: "zfill", 1...1)[0], of: "zfill")
    let isSigned = text.hasPrefix("-") || text.hasPrefix("+")
    let digits = isSigned ? String(text.unicodeScalars.dropFirst()) : text
    let target = isSigned ? max(0, max(1, width) - 1) : width
    let padded = try TextSearch.padded(digits, target, "0", .left, &renderer.budget)
    return .string((isSigned ? String(text.unicodeScalars.prefix(1)) : "") + padded)
  }

  // MARK: Arguments

  static func text(_ value: Value, of function: String) throws(Failure) -> String {
    if case .undefined(let undefined) = value { throw undefined.failure }
    guard case .string(let text) = value else {
      throw Failure("\(function)() needs a string, not \(value.type)")
    }
    return text
  }

  static func optionalText(_ value: Value?, of function: String) throws(Failure) -> String? {
    guard let value, !value.isNone else { return nil }
    return try text(value, of: function)
  }

  static func int(_ value: Value, of function: String) throws(Failure) -> Int {
    if case .undefined(let undefined) = value { throw undefined.failure }
    guard let number = value.index else { throw Failure("\(function)() needs an integer, not \(value.type)") }
    return number
  }
}

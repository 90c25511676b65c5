/// Python's `"{} {name!r:>8}".format(…)`.
struct BraceFormat {
  private let scalars: [Unicode.Scalar]
  private let arguments: Arguments
  private var at = 0
  private var automatic = 0
  private var level = 0

  static func apply(
    _ format: String, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> String {
    var formatter = BraceFormat(Array(format.unicodeScalars), arguments)
    return try formatter.run(&renderer)
  }

  private init(_ scalars: [Unicode.Scalar], _ arguments: Arguments) {
    self.scalars = scalars
    self.arguments = arguments
  }

  private mutating func run(_ renderer: inout Renderer) throws(Failure) -> String {
    var result = ""
    while at < scalars.count {
      let scalar = scalars[at]
      let doubled = at + 1 < scalars.count && scalars[at + 1] == scalar
      at += 1
      switch scalar {
      case "{" where doubled, "}" where doubled:
        at += 1
        result.unicodeScalars.append(scalar)
      case "{": result += try field(&renderer)
      case "}": throw Failure("Single '}' encountered in format string")
      default: result.unicodeScalars.append(scalar)
      }
      guard result.utf8.count <= Limits.text else {
        throw Failure("a text of more than \(Limits.text >> 20) MiB")
      }
    }
    return result
  }

  /// What stands between braces, the opening one being read.
  private mutating func field(_ renderer: inout Renderer) throws(Failure) -> String {
    level += 1
    defer { level -= 1 }
    guard level <= 2 else { throw Failure("Max string recursion exceeded") }
    let name = PythonText.string(take { $0 == "!" || $0 == ":" || $0 == "}" })
    var conversion: Unicode.Scalar?
    if next == "!" {
      at += 1
      conversion = next
      at += 1
    }
    var spec = ""
    if next == ":" {
      at += 1
      spec = try self.spec(&renderer)
    }
    guard next == "}" else { throw Failure("expected '}' before end of string") }
    at += 1
    let value = try self.value(name, &renderer)
    return try Self.show(value, conversion, spec, &renderer)
  }

  private var next: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

  private mutating func take(until ends: (Unicode.Scalar) -> Bool) -> ArraySlice<Unicode.Scalar> {
    let start = at
    var inBrackets = false
    while let scalar = next, inBrackets || !ends(scalar) {
      if scalar == "[" { inBrackets = true }
      if scalar == "]" { inBrackets = false }
      at += 1
    }
    return scalars[start..<at]
  }

  private mutating func spec(_ renderer: inout Renderer) throws(Failure) -> String {
    var spec = ""
    while let scalar = next, scalar != "}" {
      at += 1
      if scalar == "{" { spec += try field(&renderer) } else { spec.unicodeScalars.append(scalar) }
    }
    return spec
  }

  /// The value that a field names: `0`, `name`, `name.attribute`, `name[item]`.
  private mutating func value(_ field: String, _ renderer: inout Renderer) throws(Failure) -> Value {
    var rest = Substring(field)
    let first = rest.prefix { $0 != "." && $0 != "[" }
    rest = rest.dropFirst(first.count)
    var value = try self.first(String(first))
    while let mark = rest.first {
      rest = rest.dropFirst()
      let part = rest.prefix { mark == "[" ? $0 != "]" : $0 != "." && $0 != "[" }
      rest = rest.dropFirst(part.count)
      if mark == "[" {
        rest = rest.dropFirst()
        value = try renderer.item(Int(part).map { .int($0) } ?? .string(String(part)), of: value)
      } else {
        value = try renderer.attribute(String(part), of: value)
      }
    }
    return value
  }

  private mutating func first(_ name: String) throws(Failure) -> Value {
    var place = Int(name)
    if name.isEmpty {
      place = automatic
      automatic += 1
    }
    if let place {
      guard arguments.positional.indices.contains(place) else {
        throw Failure("Replacement index \(place) out of range for positional args tuple")
      }
      return arguments.positional[place]
    }
    guard let keyword = arguments.keywords.first(where: { PythonText.same($0.name, name) }) else {
      throw Failure("there is no value '\(name)' to format")
    }
    return keyword.value
  }

  private static func show(
    _ value: Value, _ conversion: Unicode.Scalar?, _ spec: String, _ renderer: inout Renderer
  ) throws(Failure) -> String {
    var value = value.plain
    switch conversion {
    case nil: break
    case "s": value = .string(try renderer.text(of: value))
    case "r": value = .string(try Representation.repr(value))
    default: throw Failure("Unknown conversion specifier '\(conversion!)'")
    }
    if spec.isEmpty { return try renderer.text(of: value) }
    let format = try FormatSpec(parsing: spec)
    switch value {
    case .string(let text): return try format.text(text, &renderer.budget)
    default:
      guard let number = Number(value) else {
        throw Failure("unsupported format string passed to \(value.type).__format__")
      }
      return try format.number(number, &renderer.budget)
    }
  }
}

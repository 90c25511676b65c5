/// A piece of a template, with the line on which it begins.
struct Token {
  enum Kind: Equatable {
    /// Text between tags, its whitespace already controlled.
    case data(String)
    case variableBegin
    case variableEnd
    case blockBegin
    case blockEnd
    case name(String)
    case string(String)
    case integer(Int)
    case float(Double)
    /// An operator or a bracket, as it is written.
    case mark(String)
    case end
  }

  let kind: Kind
  let line: Int

  /// How messages name it.
  var shown: String {
    switch kind {
    case .data: "text"
    case .variableBegin: "'{{'"
    case .variableEnd: "'}}'"
    case .blockBegin: "'{%'"
    case .blockEnd: "'%}'"
    case .name(let name): "'\(name)'"
    case .string: "a string"
    case .integer, .float: "a number"
    case .mark(let mark): "'\(mark)'"
    case .end: "the end of the template"
    }
  }
}

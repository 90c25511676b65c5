/// A node of a template's body, with its line.
struct Statement: Sendable {
  /// Where a value goes.
  indirect enum Target: Sendable {
    case name(Int)
    /// An attribute of a namespace.
    case attribute(Int, String)
    case tuple([Target])
  }

  struct Branch: Sendable {
    let test: Expression
    let body: [Statement]
  }

  struct Loop: Sendable {
    let target: Target
    let items: Expression
    let test: Expression?
    let isRecursive: Bool
    let body: [Statement]
    let otherwise: [Statement]
  }

  /// A macro, or the body of a `call` block.
  final class Macro: Sendable {
    struct Parameter: Sendable {
      let name: Int
      let defaultValue: Expression?
    }

    let name: String
    let parameters: [Parameter]
    let body: [Statement]
    /// Which of `caller`, `kwargs` and `varargs` the body mentions, and so may be given.
    let mentions: Set<Int>

    init(name: String, parameters: [Parameter], body: [Statement], mentions: Set<Int>) {
      self.name = name
      self.parameters = parameters
      self.body = body
      self.mentions = mentions
    }
  }

  enum Kind: Sendable {
    case text(String)
    case output(Expression)
    case branches([Branch], otherwise: [Statement])
    case loop(Loop)
    case set(Target, Expression)
    /// `filters` is a chain of filters without a subject; nil for none.
    case setBlock(Target, filters: Expression?, body: [Statement])
    case with([(target: Target, value: Expression)], body: [Statement])
    case macro(Int, Macro)
    /// A call whose callee gets the body as `caller`.
    case call(Expression, Macro)
    case filter(Expression, body: [Statement])
    /// What the assistant generates; only marked.
    case generation([Statement])
    case leave
    case next
  }

  let kind: Kind
  let line: Int
}

/// Variables of one place in a template, inside those of the places around it.
final class Scope {
  private(set) var parent: Scope?
  private var names: [Int] = []
  private var values: [Value] = []

  init(parent: Scope?) { self.parent = parent }

  subscript(name: Int) -> Value? {
    var scope: Scope? = self
    while let current = scope {
      if let place = current.names.firstIndex(of: name) { return current.values[place] }
      scope = current.parent
    }
    return nil
  }

  func set(_ name: Int, _ value: Value) {
    if let place = names.firstIndex(of: name) {
      values[place] = value
    } else {
      names.append(name)
      values.append(value)
    }
  }

  /// Forgets its variables, for the next round of a loop, or since the rendering is over.
  func removeAll() {
    names.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
  }
}

/// Filters that compare items.
extension Filters {
  static func dictsort(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("case_sensitive", "by", "reverse", of: "dictsort")
    let by = try bound.text(1) ?? "key"
    guard by == "key" || by == "value" else {
      throw Failure("dictsort can only sort by \"key\" or \"value\"")
    }
    if case .undefined(let undefined) = value { throw undefined.failure }
    guard case .dict(let dict) = value else {
      throw Failure("'\(value.type)' object has no attribute 'items'")
    }
    var pairs: [(key: Value, item: Value)] = []
    for (key, item) in zip(dict.keys, dict.values) {
      let compared = by == "key" ? key : item
      pairs.append((bound.flag(0) ? compared : compared.ignoringCase, try .tuple([key, item])))
    }
    return try .list(try sorted(pairs, reverse: bound.flag(2), &renderer))
  }

  static func sort(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("reverse", "case_sensitive", "attribute", of: "sort")
    let keys = ItemKey.several(bound[2], ignoresCase: !bound.flag(1))
    var pairs: [(key: Value, item: Value)] = []
    for item in try renderer.items(of: value) {
      var parts: [Value] = []
      for key in keys { parts.append(try key.value(of: item, &renderer)) }
      pairs.append((try .tuple(parts), item))
    }
    return try .list(try sorted(pairs, reverse: bound.flag(0), &renderer))
  }

  /// Items by their keys; equal ones stay in their order, also from the greatest on.
  private static func sorted(
    _ pairs: [(key: Value, item: Value)], reverse: Bool, _ renderer: inout Renderer
  ) throws(Failure) -> [Value] {
    var weight = 0
    for pair in pairs { weight += pair.key.weight + (pair.key.textLength / 64) }
    try renderer.budget.spend(weight * (Int.bitWidth - pairs.count.leadingZeroBitCount))
    let ordered = try Sorting.sorted(pairs) { (a, b) throws(Failure) in
      reverse ? try Comparison.less(b.key, a.key) : try Comparison.less(a.key, b.key)
    }
    return ordered.map(\.item)
  }

  static func unique(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("case_sensitive", "attribute", of: "unique")
    let key = ItemKey(attribute: bound[1] ?? .none, ignoresCase: !bound.flag(0))
    let items = try Generator.over(value)
    var seen = Set<Key>()
    return .generator(
      try Generator(depth: items.depth) { (renderer) throws(Failure) in
        while let item = try items.next(&renderer) {
          let compared = try key.value(of: item, &renderer)
          try renderer.budget.spend(compared.weight + compared.textLength / 8)
          if seen.insert(try Key(compared)).inserted { return item }
        }
        return nil
      })
  }

  static func extreme(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer, _ name: String,
    _ isBetter: (Int) -> Bool
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("case_sensitive", "attribute", of: name)
    let key = ItemKey(attribute: bound[1] ?? .none, ignoresCase: !bound.flag(0))
    let items = try Generator.over(value)
    guard var best = try items.next(&renderer) else {
      return Undefined.because("No aggregated item, sequence was empty.")
    }
    var bestKey = try key.value(of: best, &renderer)
    while let item = try items.next(&renderer) {
      let compared = try key.value(of: item, &renderer)
      try renderer.budget.spend(compared.weight)
      if let order = try Comparison.order(compared, bestKey, sign: name == "min" ? "<" : ">"), isBetter(order)
      {
        (best, bestKey) = (item, compared)
      }
    }
    return best
  }

  static func sum(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("attribute", "start", of: "sum")
    let key = ItemKey(attribute: bound[0] ?? .none)
    var total = bound[1] ?? .int(0)
    if case .string = total { throw Failure("sum cannot join strings; use join") }
    let items = try Generator.over(value)
    while let item = try items.next(&renderer) {
      total = try Operators.apply(.add, total, try key.value(of: item, &renderer), &renderer)
    }
    return total
  }

  static func groupby(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("attribute", "default", "case_sensitive", of: "groupby", required: 1)
    let shown = ItemKey(attribute: bound[0] ?? .none, otherwise: bound[1])
    let key = ItemKey(attribute: bound[0] ?? .none, otherwise: bound[1], ignoresCase: !bound.flag(2))
    var pairs: [(key: Value, item: Value)] = []
    for item in try renderer.items(of: value) {
      let compared = try key.value(of: item, &renderer)
      pairs.append((compared, try .tuple([compared, item])))
    }
    var groups: [(key: Value, items: [Value])] = []
    for case .tuple(let pair) in try sorted(pairs, reverse: false, &renderer) {
      if let last = groups.last, Comparison.equal(last.key, pair.values[0]) {
        groups[groups.count - 1].items.append(pair.values[1])
      } else {
        groups.append((pair.values[0], [pair.values[1]]))
      }
    }
    var result: [Value] = []
    for group in groups {
      result.append(try .tuple([try shown.value(of: group.items[0], &renderer), try .list(group.items)]))
    }
    return try .list(result)
  }
}

/// What of an item is compared or shown: the item, or an attribute of it, whose name may be a path with dots.
struct ItemKey {
  private var parts: [Value] = []
  private var otherwise: Value?
  private var ignoresCase = false

  init() {}

  init(attribute: Value, otherwise: Value? = nil, ignoresCase: Bool = false) {
    switch attribute {
    case .none: break
    case .string(let path):
      parts = path.split(separator: ".", omittingEmptySubsequences: false).map { part in
        let isIndex = !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        return isIndex ? Int(part).map { .int($0) } ?? .string(String(part)) : .string(String(part))
      }
    default: parts = [attribute]
    }
    self.otherwise = otherwise
    self.ignoresCase = ignoresCase
  }

  /// For several attributes with commas between them.
  static func several(_ attributes: Value?, ignoresCase: Bool) -> [ItemKey] {
    guard case .string(let paths) = attributes else {
      return [ItemKey(attribute: attributes ?? .none, ignoresCase: ignoresCase)]
    }
    return paths.split(separator: ",", omittingEmptySubsequences: false).map {
      ItemKey(attribute: .string(String($0)), ignoresCase: ignoresCase)
    }
  }

  func value(of item: Value, _ renderer: inout Renderer) throws(Failure) -> Value {
    var value = item
    for part in parts {
      value = try renderer.item(part, of: value)
      if let otherwise, !otherwise.isNone, value.isUndefined { value = otherwise }
    }
    return ignoresCase ? value.ignoringCase : value
  }
}

extension Value {
  fileprivate var ignoringCase: Value {
    if case .string(let text) = plain { return .string(PythonText.lower(text)) }
    return self
  }

  fileprivate var textLength: Int {
    if case .string(let text) = self { return text.utf8.count }
    return 0
  }
}

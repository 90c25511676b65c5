/// Filters on lists and whatever else has items.
extension Filters {
  static let sequences: [String: Filter] = [
    "list": { (value, _, renderer) throws(Failure) in try .list(try renderer.items(of: value)) },
    "first": { (value, _, renderer) throws(Failure) in
      try Generator.over(value).next(&renderer) ?? Undefined.because("No first item, sequence was empty.")
    },
    "last": last, "reverse": reverse, "join": join, "items": items, "dictsort": dictsort, "sort": sort,
    "unique": unique, "sum": sum, "batch": batch, "slice": slice, "groupby": groupby,
    "min": { (value, arguments, renderer) throws(Failure) in
      try extreme(value, arguments, &renderer, "min") { $0 < 0 }
    },
    "max": { (value, arguments, renderer) throws(Failure) in
      try extreme(value, arguments, &renderer, "max") { $0 > 0 }
    },
    "map": map,
    "select": { (value, arguments, _) throws(Failure) in try select(value, arguments, "select", keeps: true)
    },
    "reject": { (value, arguments, _) throws(Failure) in try select(value, arguments, "reject", keeps: false)
    },
    "selectattr": { (value, arguments, _) throws(Failure) in
      try select(value, arguments, "selectattr", keeps: true, byAttribute: true)
    },
    "rejectattr": { (value, arguments, _) throws(Failure) in
      try select(value, arguments, "rejectattr", keeps: false, byAttribute: true)
    },
  ]

  /// Values that have a last item, from the last on.
  private static func reversed(_ value: Value, _ renderer: inout Renderer) throws(Failure) -> [Value] {
    switch value {
    case .generator: throw Failure("'generator' object is not reversible")
    default: return try renderer.items(of: value).reversed()
    }
  }

  private static func last(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    return try reversed(value, &renderer).first ?? Undefined.because("No last item, sequence was empty.")
  }

  private static func reverse(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    if case .string(let text) = value {
      return try renderer.made(PythonText.string(text.unicodeScalars.reversed()))
    }
    let items = try renderer.items(of: value).reversed()
    switch value {
    case .generator, .undefined: return try renderer.made(Array(items))
    default: return .generator(try Generator(values: Array(items), depth: value.depth))
    }
  }

  private static func join(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("d", "attribute", of: "join")
    let separator = try bound[0].map { (value) throws(Failure) in try renderer.text(of: value) } ?? ""
    let key = bound[1].map { $0.isNone ? ItemKey() : ItemKey(attribute: $0) } ?? ItemKey()
    var text = ""
    var isFirst = true
    let items = try Generator.over(value)
    while let item = try items.next(&renderer) {
      if !isFirst { text += separator }
      isFirst = false
      text += try renderer.text(of: try key.value(of: item, &renderer))
      guard text.utf8.count <= Limits.text else {
        throw Failure("a text of more than \(Limits.text >> 20) MiB")
      }
    }
    return try renderer.made(text)
  }

  private static func items(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    switch value {
    case .undefined: return .generator(try Generator(values: [], depth: 0))
    case .dict(let dict): return .generator(try Generator.over(.view(DictView(dict: dict, kind: .items))))
    default: throw Failure("Can only get item pairs from a mapping.")
    }
  }

  private static func map(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    var arguments = arguments
    if arguments.positional.isEmpty, let attribute = arguments.take(keyword: "attribute") {
      let key = ItemKey(attribute: attribute, otherwise: arguments.take(keyword: "default"))
      if let keyword = arguments.keywords.first { throw Failure("map has no argument '\(keyword.name)'") }
      return try mapped(value) { (item, renderer) throws(Failure) in try key.value(of: item, &renderer) }
    }
    guard case .string(let name) = arguments.positional.first else {
      throw Failure("map needs the name of a filter, or attribute=…")
    }
    arguments.positional.removeFirst()
    let rest = arguments
    return try mapped(value) { (item, renderer) throws(Failure) in
      try renderer.deeper { (renderer) throws(Failure) in try apply(name, to: item, rest, &renderer) }
    }
  }

  private static func mapped(
    _ value: Value, _ transform: @escaping (Value, inout Renderer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    guard value.isTrue else { return .generator(try Generator(values: [], depth: 0)) }
    let items = try Generator.over(value)
    return .generator(
      try Generator(depth: items.depth) { (renderer) throws(Failure) in
        guard let item = try items.next(&renderer) else { return nil }
        return try transform(item, &renderer)
      })
  }

  private static func select(
    _ value: Value, _ arguments: Arguments, _ filter: String, keeps: Bool, byAttribute: Bool = false
  ) throws(Failure) -> Value {
    guard value.isTrue else { return .generator(try Generator(values: [], depth: 0)) }
    var arguments = arguments
    var key = ItemKey()
    if byAttribute {
      guard let attribute = arguments.positional.first else {
        throw Failure("\(filter) needs the name of an attribute")
      }
      key = ItemKey(attribute: attribute)
      arguments.positional.removeFirst()
    }
    let test = arguments.positional.first
    let rest = Arguments(positional: Array(arguments.positional.dropFirst()), keywords: arguments.keywords)
    let items = try Generator.over(value)
    return .generator(
      try Generator(depth: items.depth) { [key] (renderer) throws(Failure) in
        while let item = try items.next(&renderer) {
          if try holds(test, for: try key.value(of: item, &renderer), rest, &renderer) == keeps {
            return item
          }
        }
        return nil
      })
  }

  private static func holds(
    _ test: Value?, for value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Bool {
    guard let test else { return value.isTrue }
    guard case .string(let name) = test else { throw Failure("a test has a name, not \(test.type)") }
    return try Tests.apply(name, to: value, arguments, &renderer)
  }

  private static func batch(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("linecount", "fill_with", of: "batch", required: 1)
    let count = try bound.int(0) ?? 1
    guard count > 0 else { throw Failure("batch: 'linecount' must be above zero") }
    let items = try renderer.items(of: value)
    var batches: [Value] = []
    for start in stride(from: 0, to: items.count, by: count) {
      var batch = Array(
        items[
          start..<min(
            items.count,
            start.addingReportingOverflow(count).partialValue < start ? items.count : start + count)])
      if let fill = bound[1], !fill.isNone, batch.count < count {
        try renderer.budget.allocate(items: count)
        batch += Array(repeating: fill, count: count - batch.count)
      }
      batches.append(try .list(batch))
    }
    return .generator(try Generator(values: batches, depth: value.depth + 1))
  }

  private static func slice(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("slices", "fill_with", of: "slice", required: 1)
    let count = try bound.int(0) ?? 1
    guard count > 0 else { throw Failure("slice: 'slices' must be above zero") }
    try renderer.budget.allocate(items: count)
    let items = try renderer.items(of: value)
    let (size, extra) = (items.count / count, items.count % count)
    var slices: [Value] = []
    var start = 0
    for i in 0..<count {
      let end = start + size + (i < extra ? 1 : 0)
      var slice = Array(items[start..<end])
      if let fill = bound[1], !fill.isNone, i >= extra { slice.append(fill) }
      slices.append(try .list(slice))
      start = end
    }
    return .generator(try Generator(values: slices, depth: value.depth + 1))
  }
}

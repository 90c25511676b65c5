extension StringMethods {
  // MARK: What a string is

  private static func every(_ test: @escaping @Sendable (Unicode.Scalar) -> Bool) -> Method {
    { (text, _, _) throws(Failure) in .bool(!text.isEmpty && text.unicodeScalars.allSatisfy(test)) }
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  private static func isDecimal(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .decimalNumber
  }

  static let predicates: [String: Method] = [
    "isspace": every(PythonText.isSpace), "isalpha": every(isLetter), "isdecimal": every(isDecimal),
    "isdigit": every { isDecimal($0) || $0.properties.numericType == .digit },
    "isnumeric": every { $0.properties.numericType != nil },
    "isalnum": every { isLetter($0) || $0.properties.numericType != nil },
    "isascii": { (text, _, _) throws(Failure) in .bool(text.utf8.allSatisfy { $0 < 0x80 }) },
    "isprintable": { (text, _, _) throws(Failure) in
      .bool(text.unicodeScalars.allSatisfy(PythonText.isPrintable))
    },
    "isupper": { (text, _, _) throws(Failure) in .bool(PythonText.isCase(text, upper: true)) },
    "islower": { (text, _, _) throws(Failure) in .bool(PythonText.isCase(text, upper: false)) },
    "istitle": { (text, _, _) throws(Failure) in
      .bool(
        text.unicodeScalars.contains { $0.properties.isCased }
          && PythonText.same(PythonText.title(text), text))
    },
    "isidentifier": { (text, _, _) throws(Failure) in
      let scalars = text.unicodeScalars
      guard let first = scalars.first, first == "_" || first.properties.isXIDStart else {
        return .bool(false)
      }
      return .bool(scalars.allSatisfy { $0.properties.isXIDContinue })
    },
    "startswith": { (text, arguments, _) throws(Failure) in
      try affix(text, arguments, "startswith") { $0.starts(with: $1) }
    },
    "endswith": { (text, arguments, _) throws(Failure) in
      try affix(text, arguments, "endswith") { $0.reversed().starts(with: $1.reversed()) }
    },
  ]

  /// Whether the text, or a part of it, has one of the given strings at an end.
  private static func affix(
    _ text: String, _ arguments: Arguments, _ name: String, _ test: (ArraySlice<UInt8>, [UInt8]) -> Bool
  ) throws(Failure) -> Value {
    let given = try arguments.list(of: name, 1...3)
    let bytes = Array(text.utf8)
    let range = try part(of: text, given)
    var candidates = [given[0]]
    if case .tuple(let items) = given[0] { candidates = items.values }
    for candidate in candidates {
      let affix = Array(try StringMethods.text(candidate, of: name).utf8)
      if let range, test(bytes[range], affix) { return .bool(true) }
    }
    return .bool(false)
  }

  /// The bytes from the second argument to the third, which count characters; nil if the first of them is beyond the
  /// last.
  private static func part(of text: String, _ given: [Value]) throws(Failure) -> Range<Int>? {
    guard given.count > 1 else { return 0..<text.utf8.count }
    var bounds: [Int?] = [nil, nil]
    for i in 1..<given.count where !given[i].isNone { bounds[i - 1] = try int(given[i], of: "a search") }
    let scalars = text.unicodeScalars
    let count = scalars.count
    func clamped(_ place: Int) -> Int { max(0, place < 0 ? (place < -count ? 0 : place + count) : place) }
    let start = bounds[0].map(clamped) ?? 0
    let end = min(count, bounds[1].map(clamped) ?? count)
    guard start <= end else { return nil }
    func offset(_ place: Int) -> Int {
      let index = scalars.index(scalars.startIndex, offsetBy: place)
      return text.utf8.distance(from: text.startIndex, to: index)
    }
    return offset(start)..<offset(end)
  }

  // MARK: Searches

  static let searches: [String: Method] = [
    "find": { (text, arguments, _) throws(Failure) in .int(try place(text, arguments, "find") ?? -1) },
    "rfind": { (text, arguments, _) throws(Failure) in
      .int(try place(text, arguments, "rfind", fromRight: true) ?? -1)
    },
    "index": { (text, arguments, _) throws(Failure) in
      guard let place = try place(text, arguments, "index") else { throw Failure("substring not found") }
      return .int(place)
    },
    "rindex": { (text, arguments, _) throws(Failure) in
      guard let place = try place(text, arguments, "rindex", fromRight: true) else {
        throw Failure("substring not found")
      }
      return .int(place)
    },
    "count": { (text, arguments, _) throws(Failure) in
      let given = try arguments.list(of: "count", 1...3)
      let sought = Array(try StringMethods.text(given[0], of: "count").utf8)
      guard let range = try part(of: text, given) else { return .int(0) }
      let bytes = Array(Array(text.utf8)[range])
      if sought.isEmpty { return .int(bytes.count { $0 & 0xC0 != 0x80 } + 1) }
      return .int(TextSearch.places(of: sought, in: bytes).count)
    },
  ]

  /// Where a part is, counted in characters.
  private static func place(
    _ text: String, _ arguments: Arguments, _ name: String, fromRight: Bool = false
  ) throws(Failure) -> Int? {
    let given = try arguments.list(of: name, 1...3)
    let sought = Array(try StringMethods.text(given[0], of: name).utf8)
    guard let range = try part(of: text, given) else { return nil }
    let bytes = Array(text.utf8)
    let found: Int?
    if sought.isEmpty {
      found = fromRight ? range.upperBound : range.lowerBound
    } else if fromRight {
      found = TextSearch.lastPlaces(of: sought, in: Array(bytes[range]), limit: 1).last.map {
        $0 + range.lowerBound
      }
    } else {
      found = TextSearch.find(sought, in: bytes, from: range.lowerBound, to: range.upperBound)
    }
    return found.map { bytes[..<$0].count { $0 & 0xC0 != 0x80 } }
  }

  // MARK: Pieces

  static let pieces: [String: Method] = [
    "split": { (text, arguments, renderer) throws(Failure) in try split(text, arguments, "split", &renderer)
    },
    "rsplit": { (text, arguments, renderer) throws(Failure) in
      try split(text, arguments, "rsplit", fromRight: true, &renderer)
    },
    "splitlines": { (text, arguments, renderer) throws(Failure) in
      let keeps = try arguments.bound("keepends", of: "splitlines").flag(0)
      return try list(TextSearch.lines(of: text, keepingEnds: keeps), &renderer)
    },
    "partition": { (text, arguments, renderer) throws(Failure) in
      let pieces = try halves(text, arguments, "partition", fromRight: false)
      return try .tuple((pieces ?? [text, "", ""]).map { .string($0) })
    },
    "rpartition": { (text, arguments, renderer) throws(Failure) in
      let pieces = try halves(text, arguments, "rpartition", fromRight: true)
      return try .tuple((pieces ?? ["", "", text]).map { .string($0) })
    },
    "join": { (text, arguments, renderer) throws(Failure) in
      var result = ""
      for (i, item) in try renderer.items(of: arguments.list(of: "join", 1...1)[0]).enumerated() {
        if i > 0 { result += text }
        guard case .string(let piece) = item.plain else {
          throw Failure("sequence item \(i): expected str instance, \(item.type) found")
        }
        result += piece
        guard result.utf8.count <= Limits.text else {
          throw Failure("a text of more than \(Limits.text >> 20) MiB")
        }
      }
      return try renderer.made(result)
    },
  ]

  private static func list(_ pieces: [String], _ renderer: inout Renderer) throws(Failure) -> Value {
    try renderer.made(pieces.map { .string($0) })
  }

  private static func split(
    _ text: String, _ arguments: Arguments, _ name: String, fromRight: Bool = false,
    _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("sep", "maxsplit", of: name)
    let limit = try bound.int(1) ?? -1
    try renderer.budget.allocate(bytes: text.utf8.count)
    guard let separator = try bound.optionalText(0) else {
      return try list(TextSearch.words(text, limit: limit, fromRight: fromRight), &renderer)
    }
    guard !separator.isEmpty else { throw Failure("empty separator") }
    return try list(TextSearch.split(text, by: separator, limit: limit, fromRight: fromRight), &renderer)
  }

  /// What is before a separator, the separator, and what is after it.
  private static func halves(
    _ text: String, _ arguments: Arguments, _ name: String, fromRight: Bool
  ) throws(Failure) -> [String]? {
    let separator = try StringMethods.text(arguments.list(of: name, 1...1)[0], of: name)
    guard !separator.isEmpty else { throw Failure("empty separator") }
    let pieces = TextSearch.split(text, by: separator, limit: 1, fromRight: fromRight)
    return pieces.count == 2 ? [pieces[0], separator, pieces[1]] : nil
  }
}

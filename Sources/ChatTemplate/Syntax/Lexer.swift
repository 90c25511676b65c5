/// Cuts a template into tokens as Jinja 3.1 does with `trim_blocks` and `lstrip_blocks`: the newline after a block
/// goes, and so do blanks between the beginning of a line and a block or comment; `-` takes all whitespace on its side,
/// `+` keeps what would go.
struct Lexer {
  let source: [Unicode.Scalar]
  var at = 0
  var line = 1
  var tokens: [Token] = []
  /// Whether what was read last ended with a newline, or nothing was read yet.
  private var lineStarting = true

  static func tokens(of text: String) throws(Failure) -> [Token] {
    var lexer = Lexer(text)
    guard lexer.source.count <= Limits.source else {
      throw Failure("the template has more than \(Limits.source) characters")
    }
    while try lexer.nextRegion() {}
    lexer.add(.end)
    return lexer.tokens
  }

  /// Line ends become `\n`, and a last one goes.
  private init(_ text: String) {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(text.utf8.count)
    var afterReturn = false
    for scalar in text.unicodeScalars {
      if scalar == "\r" {
        scalars.append("\n")
      } else if !(scalar == "\n" && afterReturn) {
        scalars.append(scalar)
      }
      afterReturn = scalar == "\r"
    }
    if scalars.last == "\n" { scalars.removeLast() }
    source = scalars
  }

  mutating func add(_ kind: Token.Kind) { tokens.append(Token(kind: kind, line: line)) }

  func scalar(_ place: Int) -> Unicode.Scalar? { place < source.count ? source[place] : nil }

  func stands(_ text: StaticString, at place: Int) -> Bool {
    let count = text.utf8CodeUnitCount
    guard place + count <= source.count else { return false }
    return (0..<count).allSatisfy { source[place + $0].value == UInt32(text.utf8Start[$0]) }
  }

  /// Moves to a place, counting the lines on the way.
  mutating func move(to place: Int) {
    for i in at..<place where source[i] == "\n" { line += 1 }
    at = place
  }

  func skippingSpace(from place: Int) -> Int {
    var place = place
    while place < source.count, PythonText.isSpace(source[place]) { place += 1 }
    return place
  }

  /// Reads the text up to the next tag, and the tag; false at the end of the template.
  private mutating func nextRegion() throws(Failure) -> Bool {
    guard at < source.count else { return false }
    guard let tag = nextTag() else {
      addData(source[at...])
      at = source.count
      return false
    }
    if source[tag + 1] == "%", let body = rawBody(from: tag) {
      addText(until: tag, sign: sign(at: tag + 2), isVariable: false)
      move(to: body)
      lineStarting = source[body - 1] == "\n"
      try readRaw()
      return true
    }
    let kind = source[tag + 1]
    let sign = sign(at: tag + 2)
    addText(until: tag, sign: sign, isVariable: kind == "{")
    move(to: tag + 2 + (sign == nil ? 0 : 1))
    switch kind {
    case "#": try skipComment()
    case "{": try readTag(.variableBegin, end: .variableEnd)
    default: try readTag(.blockBegin, end: .blockEnd)
    }
    return true
  }

  private func nextTag() -> Int? {
    var place = at
    while place + 1 < source.count {
      if source[place] == "{", ["{", "%", "#"].contains(source[place + 1]) { return place }
      place += 1
    }
    return nil
  }

  private func sign(at place: Int) -> Unicode.Scalar? {
    scalar(place).flatMap { $0 == "-" || $0 == "+" ? $0 : nil }
  }

  /// Adds the text before a tag, without the whitespace that the tag takes.
  private mutating func addText(until tag: Int, sign: Unicode.Scalar?, isVariable: Bool) {
    var end = tag
    if sign == "-" {
      while end > at, PythonText.isSpace(source[end - 1]) { end -= 1 }
    } else if sign != "+", !isVariable {
      let lineStart = source[at..<tag].lastIndex(of: "\n").map { $0 + 1 }
      if lineStart != nil || lineStarting {
        let start = lineStart ?? at
        if source[start..<tag].allSatisfy(PythonText.isSpace) { end = start }
      }
    }
    addData(source[at..<end])
    move(to: tag)
  }

  private mutating func addData(_ scalars: ArraySlice<Unicode.Scalar>) {
    guard !scalars.isEmpty else { return }
    add(.data(PythonText.string(scalars)))
  }

  /// Where the body of a `raw` block begins if the tag opens one.
  private func rawBody(from tag: Int) -> Int? {
    var place = skippingSpace(from: tag + 2 + (sign(at: tag + 2) == nil ? 0 : 1))
    guard stands("raw", at: place) else { return nil }
    place = skippingSpace(from: place + 3)
    if stands("-%}", at: place) { return skippingSpace(from: place + 3) }
    return stands("%}", at: place) ? place + 2 : nil
  }

  private mutating func readRaw() throws(Failure) {
    var tag = at
    while tag + 1 < source.count {
      defer { tag += 1 }
      guard stands("{%", at: tag) else { continue }
      let sign = sign(at: tag + 2)
      let word = skippingSpace(from: tag + 2 + (sign == nil ? 0 : 1))
      guard stands("endraw", at: word),
        let end = endOfTag("%", from: skippingSpace(from: word + 6))
      else { continue }
      addText(until: tag, sign: sign, isVariable: false)
      finish(at: end)
      return
    }
    throw Failure("a raw block without its end", line: line)
  }

  private mutating func skipComment() throws(Failure) {
    var place = at
    while place < source.count {
      if let end = endOfTag("#", from: place) {
        finish(at: end)
        return
      }
      place += 1
    }
    throw Failure("a comment without its end", line: line)
  }

  /// Where what a closing tag takes ends, if one stands here: `-%}` with all whitespace, `+%}`, or `%}` with a newline.
  /// The tag of a variable, `}}`, takes no newline and knows no `+`.
  func endOfTag(_ kind: Unicode.Scalar, from place: Int) -> Int? {
    func closes(_ place: Int) -> Bool { scalar(place) == kind && scalar(place + 1) == "}" }
    if scalar(place) == "-", closes(place + 1) { return skippingSpace(from: place + 3) }
    if kind != "}", scalar(place) == "+", closes(place + 1) { return place + 3 }
    guard closes(place) else { return nil }
    return kind != "}" && scalar(place + 2) == "\n" ? place + 3 : place + 2
  }

  mutating func finish(at end: Int) {
    move(to: end)
    lineStarting = source[end - 1] == "\n"
  }
}

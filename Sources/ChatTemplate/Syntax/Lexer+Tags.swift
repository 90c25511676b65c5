/// What stands between `{{` and `}}`, or `{%` and `%}`.
extension Lexer {
  mutating func readTag(_ begin: Token.Kind, end: Token.Kind) throws(Failure) {
    add(begin)
    var brackets: [Unicode.Scalar] = []
    while at < source.count {
      if brackets.isEmpty, let place = endOfTag(end == .variableEnd ? "}" : "%", from: at) {
        add(end)
        finish(at: place)
        return
      }
      try readToken(&brackets)
    }
  }

  private mutating func readToken(_ brackets: inout [Unicode.Scalar]) throws(Failure) {
    let first = source[at]
    if PythonText.isSpace(first) {
      move(to: skippingSpace(from: at))
    } else if ("0"..."9").contains(first) {
      try readNumber()
    } else if Self.isWord(first) {
      readName()
    } else if first == "'" || first == "\"" {
      try readString(first)
    } else {
      try readMark(&brackets)
    }
  }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || (scalar.isASCII ? scalar.properties.isAlphabetic : scalar.properties.isXIDContinue)
      || ("0"..."9").contains(scalar)
  }

  private mutating func readName() {
    var end = at
    while let next = scalar(end), Self.isWord(next) { end += 1 }
    add(.name(PythonText.string(source[at..<end])))
    at = end
  }

  /// Where digits with single underscores between them end.
  private func digits(from place: Int, _ isDigit: (Unicode.Scalar) -> Bool = { ("0"..."9").contains($0) })
    -> Int
  {
    var end = place
    while let next = scalar(end) {
      if isDigit(next) {
        end += 1
      } else if next == "_", end > place, let after = scalar(end + 1), isDigit(after) {
        end += 1
      } else {
        break
      }
    }
    return end
  }

  private mutating func readNumber() throws(Failure) {
    if let (start, base, end) = prefixed() { return try addInteger(start..<end, base: base, end: end) }
    let whole = digits(from: at)
    var end = whole
    if !(at > 0 && source[at - 1] == ".") {
      if scalar(end) == ".", digits(from: end + 1) > end + 1 { end = digits(from: end + 1) }
      if let e = scalar(end), e == "e" || e == "E" {
        let sign = scalar(end + 1)
        let start = end + (sign == "+" || sign == "-" ? 2 : 1)
        if digits(from: start) > start { end = digits(from: start) }
      }
    }
    guard end > whole else { return try addInteger(at..<whole, base: 10, end: whole) }
    let text = PythonText.string(source[at..<end].filter { $0 != "_" })
    add(.float(Double(text) ?? .infinity))
    at = end
  }

  /// Digits after `0x`, `0o` or `0b`.
  private func prefixed() -> (start: Int, base: Int, end: Int)? {
    guard source[at] == "0", let letter = scalar(at + 1) else { return nil }
    let bases: [Unicode.Scalar: Int] = ["x": 16, "X": 16, "o": 8, "O": 8, "b": 2, "B": 2]
    guard let base = bases[letter] else { return nil }
    let end = digits(from: at + 2) { digit in
      digit.isASCII && Character(digit).hexDigitValue.map { $0 < base } ?? false
    }
    return end > at + 2 ? (at + 2, base, end) : nil
  }

  private mutating func addInteger(_ range: Range<Int>, base: Int, end: Int) throws(Failure) {
    let text = PythonText.string(source[range].filter { $0 != "_" })
    guard let value = Int(text, radix: base) else {
      throw Failure("the number \(text) is too large", line: line)
    }
    add(.integer(value))
    at = end
  }

  private mutating func readString(_ quote: Unicode.Scalar) throws(Failure) {
    let start = line
    var text = String.UnicodeScalarView()
    var place = at + 1
    while let next = scalar(place), next != quote {
      place += 1
      guard next == "\\" else {
        text.append(next)
        continue
      }
      guard let letter = scalar(place) else { break }
      place += 1
      try unescape(letter, &place, into: &text)
    }
    guard scalar(place) == quote else { throw Failure("a string without its closing quote", line: start) }
    add(.string(String(text)))
    move(to: place + 1)
  }

  private static let escapes: [Unicode.Scalar: Unicode.Scalar] = [
    "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}", "b": "\u{8}",
    "f": "\u{C}",
    "v": "\u{B}",
  ]

  /// An escape of a Python string; an unknown one stays as it is written.
  private func unescape(
    _ letter: Unicode.Scalar, _ place: inout Int, into text: inout String.UnicodeScalarView
  ) throws(Failure) {
    if let simple = Self.escapes[letter] {
      text.append(simple)
    } else if letter == "\n" {
      return
    } else if let count = ["x": 2, "u": 4, "U": 8][letter] {
      text.append(try codePoint(&place, count: count, radix: 16, letter))
    } else if ("0"..."7").contains(letter) {
      place -= 1
      var count = 1
      while count < 3, let next = scalar(place + count), ("0"..."7").contains(next) { count += 1 }
      text.append(try codePoint(&place, count: count, radix: 8, letter))
    } else if letter == "N" {
      throw Failure("the escape \\N{…} is not supported", line: line)
    } else {
      text.append("\\")
      text.append(letter)
    }
  }

  private func codePoint(
    _ place: inout Int, count: Int, radix: Int, _ letter: Unicode.Scalar
  ) throws(Failure) -> Unicode.Scalar {
    let end = min(place + count, source.count)
    let digits = PythonText.string(source[place..<end])
    place = end
    guard digits.unicodeScalars.count == count, digits.utf8.allSatisfy({ $0 != 0x2B && $0 != 0x2D }),
      let value = UInt32(digits, radix: radix), let scalar = Unicode.Scalar(value)
    else { throw Failure("the escape \\\(letter)\(digits) is no character", line: line) }
    return scalar
  }

  private static let pairs: Set<String> = ["//", "**", "==", "!=", ">=", "<="]
  private static let closing: [Unicode.Scalar: Unicode.Scalar] = ["(": ")", "[": "]", "{": "}"]

  private mutating func readMark(_ brackets: inout [Unicode.Scalar]) throws(Failure) {
    let first = source[at]
    let pair = PythonText.string(source[at..<min(at + 2, source.count)])
    if Self.pairs.contains(pair) {
      add(.mark(pair))
      at += 2
      return
    }
    guard "+-/*%~[](){}><=.:|,;".unicodeScalars.contains(first) else {
      throw Failure("unexpected character '\(first)'", line: line)
    }
    if let close = Self.closing[first] {
      brackets.append(close)
    } else if [")", "]", "}"].contains(first) {
      guard let expected = brackets.popLast() else { throw Failure("unexpected '\(first)'", line: line) }
      guard expected == first else {
        throw Failure("unexpected '\(first)', expected '\(expected)'", line: line)
      }
    }
    add(.mark(String(first)))
    at += 1
  }
}

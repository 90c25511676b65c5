/// Rewrites a pattern of Oniguruma for PCRE2, and refuses whatever the two would understand differently.
struct SplitPatternTranslator {
  private let input: [Unicode.Scalar]
  private var place = 0
  private var output = ""
  /// For each open group, whether case is ignored in it.
  private var ignoresCase = [false]
  /// The last literal letter of a part in which case is ignored, if nothing came between.
  private var lastLiteral: Unicode.Scalar?

  static func translate(_ pattern: String) throws(SplitPatternError) -> String {
    var translator = SplitPatternTranslator(input: Array(pattern.unicodeScalars))
    try translator.run()
    return translator.output
  }

  private init(input: [Unicode.Scalar]) { self.input = input }

  private static let categories: Set<String> = [
    "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps",
    "Pe",
    "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn",
  ]
  private static let casedCategories: Set<String> = ["Lu", "Ll", "Lt"]

  private func refused(_ what: String) -> SplitPatternError { SplitPatternError("\(what) is not supported") }

  private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
    place + ahead < input.count ? input[place + ahead] : nil
  }

  private mutating func run() throws(SplitPatternError) {
    while let scalar = peek() {
      let literal = lastLiteral
      lastLiteral = nil
      switch scalar {
      case "(": try openGroup()
      case ")":
        if ignoresCase.count > 1 { ignoresCase.removeLast() }
        copy()
      case "[": try characterClass()
      case "\\": try escape(inClass: false)
      case "{": try counts()
      case "^", "$": throw refused("the anchor \(scalar)")
      case "*", "+", "?", "|", ".": copy()
      default:
        try checkLiteral(scalar, after: literal)
        copy()
      }
    }
  }

  private mutating func copy(_ count: Int = 1) {
    for _ in 0..<count where place < input.count {
      output.unicodeScalars.append(input[place])
      place += 1
    }
  }

  private mutating func openGroup() throws(SplitPatternError) {
    let inherited = ignoresCase.last ?? false
    for (opening, ignores) in [
      ("(?:", inherited), ("(?=", inherited), ("(?!", inherited), ("(?<=", inherited), ("(?<!", inherited),
      ("(?>", inherited), ("(?i:", true), ("(?-i:", false),
    ] where starts(with: opening) {
      ignoresCase.append(ignores)
      copy(opening.unicodeScalars.count)
      return
    }
    if starts(with: "(?i)") {
      // Elsewhere than at the start, the two disagree on how far it reaches.
      guard place == 0 else { throw refused("(?i) in the middle of a pattern") }
      ignoresCase[0] = true
      return copy(4)
    }
    guard peek(1) != "?", peek(1) != "*" else {
      throw refused("the group (\(peek(1) ?? "?")\(peek(2) ?? " ")…")
    }
    ignoresCase.append(inherited)
    copy()
  }

  private func starts(with text: String) -> Bool {
    text.unicodeScalars.enumerated().allSatisfy { peek($0) == $1 }
  }

  /// `{n}`, `{n,}` or `{n,m}`, not followed by `+`, which only one of the two takes for "possessive".
  private mutating func counts() throws(SplitPatternError) {
    var length = 1
    while let scalar = peek(length), ("0"..."9").contains(scalar) || scalar == "," { length += 1 }
    guard length > 1, peek(1) != ",", peek(length) == "}" else {
      throw refused("{ that does not begin a count")
    }
    copy(length + 1)
    if peek() == "+" { throw refused("a possessive count") }
  }

  private mutating func characterClass() throws(SplitPatternError) {
    copy()
    if peek() == "^" { copy() }
    guard peek() != "]" else { throw refused("a class that begins with ]") }
    while let scalar = peek(), scalar != "]" {
      switch scalar {
      case "[": throw refused("[ inside a class")
      case "&" where peek(1) == "&": throw refused("&& inside a class")
      case "\\": try escape(inClass: true)
      default:
        try checkLiteral(scalar, after: nil)
        copy()
      }
    }
    guard peek() != nil else { throw SplitPatternError("a class is not closed") }
    copy()
  }

  private mutating func escape(inClass: Bool) throws(SplitPatternError) {
    guard let letter = peek(1) else { throw SplitPatternError("the pattern ends in a backslash") }
    switch letter {
    case "s", "S", "d", "D", "r", "n", "t", "f": copy(2)
    case "p", "P": try property()
    case "u", "x": try scalarNumber(letter)
    case "a"..."z", "A"..."Z", "0"..."9": throw refused("\\\(letter)")
    default:
      if letter.value >= 0x80 { throw refused("\\\(letter)") }
      copy(2)
    }
  }

  private mutating func property() throws(SplitPatternError) {
    var length = 3
    while let scalar = peek(length), scalar != "}", length < 32 { length += 1 }
    guard peek(2) == "{", peek(length) == "}" else { throw SplitPatternError("\\p must be followed by {…}") }
    var name = String(String.UnicodeScalarView(input[(place + 3)..<(place + length)]))
    if name.hasPrefix("^") { name.removeFirst() }
    guard Self.categories.contains(name) else {
      throw refused("\\p{\(name)}, which is no general category of Unicode,")
    }
    if ignoresCase.last == true, Self.casedCategories.contains(name) {
      throw refused("\\p{\(name)} where case is ignored")
    }
    copy(length + 1)
  }

  /// `\uHHHH`, `\xHH` (ASCII) and `\x{H…}`.
  private mutating func scalarNumber(_ letter: Unicode.Scalar) throws(SplitPatternError) {
    let braced = letter == "x" && peek(2) == "{"
    let first = braced ? 3 : 2
    var length = first
    while let scalar = peek(length), scalar.isASCII, Character(scalar).isHexDigit,
      braced || length < first + (letter == "u" ? 4 : 2)
    { length += 1 }
    let digits = String(String.UnicodeScalarView(input[(place + first)..<(place + length)]))
    guard let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value),
      braced ? peek(length) == "}" : digits.count == (letter == "u" ? 4 : 2),
      letter == "u" || braced || value < 0x80
    else { throw SplitPatternError("\\\(letter) is not followed by the number of a character") }
    try checkLiteral(scalar, after: nil)
    output += "\\x{\(digits)}"
    place += braced ? length + 1 : length
  }

  /// Where case is ignored, ß matches "ss" in Oniguruma but not in PCRE2, and so on for the ligatures.
  private mutating func checkLiteral(
    _ scalar: Unicode.Scalar, after previous: Unicode.Scalar?
  ) throws(SplitPatternError) {
    guard ignoresCase.last == true else { return }
    guard scalar.isASCII else { throw refused("a letter beyond ASCII where case is ignored") }
    lastLiteral = scalar
    guard let previous else { return }
    let pair = "\(previous)\(scalar)".lowercased()
    if ["ss", "ff", "fi", "fl", "st"].contains(pair) { throw refused("\"\(pair)\" where case is ignored") }
  }
}

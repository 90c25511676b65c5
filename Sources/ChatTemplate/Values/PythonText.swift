/// Properties of text as Python's `str` defines them: it is a sequence of code points.
enum PythonText {
  /// `str.isspace`, which is also what `\s` matches and `strip` takes.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F,
      0x3000:
      true
    default: false
    }
  }

  /// Where `splitlines` ends a line.
  static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  /// Whether two strings have the same code points; Swift's `==` is canonical equivalence.
  static func same(_ a: String, _ b: String) -> Bool {
    a.utf8.count == b.utf8.count && a == b && a.utf8.elementsEqual(b.utf8)
  }

  static func count(_ text: String) -> Int { text.unicodeScalars.count }

  /// `str.isprintable` of one character.
  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value >= 0x20 && scalar.value < 0x7F }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
      .spaceSeparator:
      return false
    default: return true
    }
  }

  static func upper(_ text: String) -> String { mapped(text) { $0.properties.uppercaseMapping } }

  /// `str.lower`: a sigma at the end of a word becomes ς.
  static func lower(_ text: String) -> String {
    guard text.unicodeScalars.contains("\u{3A3}") else {
      return mapped(text) { $0.properties.lowercaseMapping }
    }
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for i in scalars.indices { result += lower(i, of: scalars) }
    return result
  }

  static func lower(_ place: Int, of scalars: [Unicode.Scalar]) -> String {
    guard scalars[place] == "\u{3A3}" else { return scalars[place].properties.lowercaseMapping }
    return isFinal(place, in: scalars) ? "\u{3C2}" : "\u{3C3}"
  }

  /// Whether letters stand before a place, and none after it.
  private static func isFinal(_ place: Int, in scalars: [Unicode.Scalar]) -> Bool {
    let before = scalars[..<place].last { !$0.properties.isCaseIgnorable }
    let after = scalars[(place + 1)...].first { !$0.properties.isCaseIgnorable }
    return before?.properties.isCased == true && after?.properties.isCased != true
  }

  private static func mapped(_ text: String, _ map: (Unicode.Scalar) -> String) -> String {
    var result = ""
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars { result += map(scalar) }
    return result
  }

  /// `str.capitalize`.
  static func capitalize(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    let rest = lower(text)
    let head = PythonText.lower(String(first))
    return first.properties.titlecaseMapping
      + String(rest.unicodeScalars.dropFirst(head.unicodeScalars.count))
  }

  /// `str.title`: a letter after one that has no case is a capital, every other one is not.
  static func title(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    var afterCased = false
    for (i, scalar) in scalars.enumerated() {
      result += afterCased ? lower(i, of: scalars) : scalar.properties.titlecaseMapping
      afterCased = scalar.properties.isCased
    }
    return result
  }

  /// `str.isupper` or `str.islower`: there is a letter with case, and none of the other case.
  static func isCase(_ text: String, upper: Bool) -> Bool {
    var found = false
    for scalar in text.unicodeScalars {
      let category = scalar.properties.generalCategory
      if category == .titlecaseLetter { return false }
      if upper ? scalar.properties.isLowercase : scalar.properties.isUppercase { return false }
      if upper ? scalar.properties.isUppercase : scalar.properties.isLowercase { found = true }
    }
    return found
  }
}

/// Unicode as the Rust crate `tokenizers` 0.23 sees it, so that text gives the same ids here and there, whatever
/// version of Unicode the Swift library and PCRE2 on this machine carry.
///
/// The crate's parts differ in age: Oniguruma (Split patterns) and the crate regex (words) hold Unicode 16, Rust
/// itself (digits) Unicode 17, the normalizer Unicode 9, the step Punctuation Unicode 8. A scalar that is younger is unassigned to them. That the sets
/// agree on every scalar is tested against the crate.
enum ReferenceUnicode {
  /// Whether a scalar had been assigned in the given version.
  static func isAssigned(_ scalar: Unicode.Scalar, in major: Int) -> Bool {
    guard let age = scalar.properties.age else { return false }
    return age.major < major || (age.major == major && age.minor == 0)
  }

  /// The general category as Oniguruma knows it.
  static func patternCategory(_ scalar: Unicode.Scalar) -> Unicode.GeneralCategory {
    let category = scalar.properties.generalCategory
    switch category {
    case .surrogate, .privateUse, .control: return category
    default: break
    }
    // Became a letter without case in Unicode 17.
    if scalar.value == 0x295 { return .lowercaseLetter }
    return isAssigned(scalar, in: 16) ? category : .unassigned
  }

  /// `char::is_numeric` of Rust.
  static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return ("0"..."9").contains(scalar) }
    switch scalar.properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: return isAssigned(scalar, in: 17)
    default: return false
    }
  }

  /// ASCII punctuation, and the categories of punctuation as Unicode 8 has them.
  static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
    // Became a symbol and a mark later.
    case 0x166D, 0x111C9: return true
    default: break
    }
    switch scalar.properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .closePunctuation, .finalPunctuation, .initialPunctuation,
      .otherPunctuation, .openPunctuation:
      return isAssigned(scalar, in: 8)
    default: return false
    }
  }

  /// `\w` of the crate regex: Alphabetic, marks, decimal numbers, connectors and join controls.
  static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
      return isAssigned(scalar, in: 16)
    default: return (properties.isAlphabetic || properties.isJoinControl) && isAssigned(scalar, in: 16)
    }
  }
}

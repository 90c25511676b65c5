import LanguageModel

/// The letters that byte-level tokens are spelled in; see ``ByteLevelAlphabet``.
enum ByteAlphabet {
  private static let letters = Set(ByteLevelAlphabet.scalars)

  /// Whether a token is spelled in these letters alone.
  static func spells(_ token: String) -> Bool { token.unicodeScalars.allSatisfy(letters.contains) }

  /// A token's UTF-8 bytes, spelled in these letters.
  static func spelling(of token: String) -> String {
    var text = String.UnicodeScalarView()
    for byte in token.utf8 { text.append(ByteLevelAlphabet.scalars[Int(byte)]) }
    return String(text)
  }
}

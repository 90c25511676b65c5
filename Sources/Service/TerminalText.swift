/// Text from outside, as a terminal may show it.
public enum TerminalText {
  /// Control characters, which a terminal might obey, by their pictures (U+2400 and on); tabs and line ends stay.
  public static func visible(_ text: String) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x09, 0x0A: shown.append(scalar)
      case ..<0x20: shown.append(Unicode.Scalar(0x2400 + scalar.value) ?? scalar)
      case 0x7F..<0xA0: shown.append("\u{FFFD}")
      default: shown.append(scalar)
      }
    }
    return String(shown)
  }

  /// The same in one line, whose end is seen.
  static func line(_ text: String) -> String {
    "\"" + visible(text).replacing("\n", with: "↵").replacing("\t", with: "→") + "\""
  }
}

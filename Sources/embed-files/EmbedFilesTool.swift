import Foundation

/// Makes one file of Swift that holds the text of others, for the plugin `EmbedFiles`. The texts are literals of strings:
/// the compiler takes minutes for what SwiftPM's `embedInCode` makes of the page, literals of arrays of bytes.
///
/// usage: embed-files OUTPUT FILE…
@main
enum EmbedFilesTool {
  static func main() {
    do { try embed() } catch {
      try? FileHandle.standardError.write(contentsOf: Data("embed-files: \(error)\n".utf8))
      exit(1)
    }
  }

  private static func embed() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard let output = arguments.first else { throw Failure("usage: embed-files OUTPUT FILE…") }
    let members = try arguments.dropFirst().map { path in
      "  static let \(name(of: path)): StaticString = \(try literal(of: path))\n"
    }
    let text =
      "/// What embed-files made of files of this target.\nenum EmbeddedFiles {\n\(members.joined())}\n"
    try text.write(toFile: output, atomically: true, encoding: .utf8)
  }

  /// `page.js` is `page_js`.
  private static func name(of path: String) -> String {
    String(
      URL(fileURLWithPath: path).lastPathComponent.map { $0.isLetter || $0.isNumber ? $0 : "_" })
  }

  private static func literal(of path: String) throws -> String {
    guard let text = String(validating: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    else {
      throw Failure("\(path) is no text in UTF-8: only texts can be embedded")
    }
    var literal = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\", "\"": literal += "\\\(scalar)"
      case let scalar where scalar.value < 0x20 || scalar.value == 0x7f:
        literal += "\\u{\(String(scalar.value, radix: 16))}"
      default: literal.unicodeScalars.append(scalar)
      }
    }
    return literal + "\""
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
  }
}

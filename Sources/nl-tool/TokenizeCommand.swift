import ArgumentParser
import Files
import JSON
import LanguageModel
import Service

struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Turn text into token ids: a JSON string a line in, a JSON array of ids a line out.",
    discussion: """
      No special tokens are added unless --special-tokens is given.

      Example:
        echo '"Hello, world"' | nl-tool tokenize --model Qwen2.5-0.5B
      """)

  @Option(help: "A model folder with a tokenizer.json.")
  var model: String

  @Flag(help: "Add the special tokens of the tokenizer's post-processor, such as a BOS.")
  var specialTokens = false

  func run() throws {
    let tokenizer = try Tokenizer(modelFolder: FileSystem.expandingTilde(model))
    var number = 0
    while let line = readLine(strippingNewline: true) {
      number += 1
      if line.allSatisfy(\.isWhitespace) { continue }
      let value: JSONValue
      do { value = try JSONValue(parsing: line) } catch {
        throw ServiceError(
          "standard input, line \(number): \(error.reason)", remedy: "each line is one JSON string")
      }
      guard let text = value.string else {
        throw ServiceError("standard input, line \(number): \(value.kind), not a JSON string")
      }
      let ids = try tokenizer.encode(text, addSpecialTokens: specialTokens)
      print(JSONValue.numbers(ids.map(Int.init)).text)
    }
  }
}

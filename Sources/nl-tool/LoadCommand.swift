import ArgumentParser
import Files
import Foundation
import LanguageModel

extension ModelCommand {
  struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "load", abstract: "Make a model folder out of a base model and weights from elsewhere.",
      discussion: """
        The base says what the model is, and brings config and tokenizer. Of the weights every tensor must have a place in \
        it and every tensor of it must be there, unless --lenient is given; what is missing then stays as the base has it. \
        A report says what matched and what did not.

        Examples:
          nl-tool model load tiny --weights pretrained.safetensors --output tiny-pretrained
          nl-tool model load tiny --weights other --map encoder.=model. --lenient --output tiny-pretrained
        """)

    @Argument(help: "The base model's folder.")
    var base: String

    @Option(help: "A safetensors file, or a folder with some.")
    var weights: String

    @Option(
      parsing: .upToNextOption,
      help: ArgumentHelp(
        "What names begin with among the weights, and in the model; the longest that fits counts.",
        valueName: "from=to"))
    var map: [PrefixPair] = []

    @Flag(help: "Load what fits, and leave the rest.")
    var lenient = false

    @Option(help: "The folder to make.")
    var output: String

    func run() throws {
      let loaded = try loadPretrainedWeights(
        base: FileSystem.expandingTilde(base), from: FileSystem.expandingTilde(weights),
        prefixes: map.map { ($0.from, $0.to) }, isStrict: !lenient)
      try loaded.write(to: FileSystem.expandingTilde(output))
      print("\(output): \(loaded.report.text)")
    }
  }
}

/// `FROM=TO`; either may be empty.
struct PrefixPair: ExpressibleByArgument {
  let from: String
  let to: String

  init?(argument: String) {
    guard let mark = argument.firstIndex(of: "=") else { return nil }
    from = String(argument[..<mark])
    to = String(argument[argument.index(after: mark)...])
  }
}

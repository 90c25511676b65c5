import ArgumentParser
import Files
import LanguageModel
import Service

struct LogitsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logits",
    abstract: "Write the logits of a text: a safetensors file with `logits`, [tokens, vocabulary], f32.",
    discussion: """
      The text is encoded as in training, without the EOS at its end.

      Example:
        nl-tool logits --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --text "Once" --output logits.safetensors
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "The text.")
  var text: String

  @Option(help: "The safetensors file to write.")
  var output: String

  func run() throws {
    let loaded = try options.load()
    let ids = try loaded.tokens(of: text, option: "--text")
    let logits = try loaded.model.logits(ids)
    try loaded.write(logits: logits, to: FileSystem.expandingTilde(output))
    print("\(output): logits [\(logits.shape.map(String.init).joined(separator: ", "))]")
  }
}

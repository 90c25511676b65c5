import ArgumentParser
import LanguageModel
import Service

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a prompt, with or without an adapter.",
    discussion: """
      Examples:
        nl-tool generate --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --prompt "Once upon a time"
        nl-tool generate --model Qwen2.5-0.5B --prompt "The sea" --temperature 0.8 --top-p 0.95 --stop "."

      Tokens are chosen as in transformers: repetition penalty, then temperature, then top-k, then top-p.
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "The text to continue.")
  var prompt: String

  @Option(
    help:
      "How many tokens to add at most; the EOS of training, or an eos_token_id of the model's configs, ends the text earlier."
  )
  var maxTokens = 100

  @OptionGroup var sampling: SamplingFlags

  func validate() throws {
    if !(1...1 << 20).contains(maxTokens) {
      throw ValidationError("--max-tokens must be from 1 to \(1 << 20)")
    }
  }

  func run() throws {
    let loaded = try options.load()
    let ids = try loaded.tokens(of: prompt, option: "--prompt")
    var stream = TextStream(tokenizer: loaded.tokenizer, after: ids, stops: sampling.stop)
    show(prompt)
    try loaded.model.generate(
      prompt: ids, maxTokens: maxTokens, sampling: sampling.options, endTokens: loaded.tokenizer.endTokenIDs
    ) { id in
      show(stream.append(id))
      return !stream.isStopped
    }
    show(stream.finish() + "\n")
  }
}

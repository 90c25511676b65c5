import ArgumentParser
import Foundation
import LanguageModel
import Service

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a prompt, with or without an adapter.",
    discussion: """
      Example:
        nl-tool generate --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --prompt "Once upon a time"
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "The text to continue.")
  var prompt: String

  @Option(
    help:
      "How many tokens to add at most; the EOS of training, or an eos_token_id of the model's configs, ends the text earlier."
  )
  var maxTokens = 100

  @Option(help: "0 takes the likeliest token each time; higher is more varied.")
  var temperature = 0.0

  @Option(help: "Seed of the choice at a temperature above 0.")
  var seed: UInt64 = 42

  func validate() throws {
    if maxTokens < 1 { throw ValidationError("--max-tokens must be at least 1") }
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature must be 0 or more")
    }
  }

  func run() throws {
    let loaded = try options.load()
    let ids = try loaded.tokens(of: prompt, option: "--prompt")
    var printer = TextPrinter(tokenizer: loaded.tokenizer, after: ids)
    print(prompt, terminator: "")
    try loaded.model.generate(
      prompt: ids, maxTokens: maxTokens, temperature: temperature, seed: seed,
      endTokens: loaded.tokenizer.endTokenIDs
    ) { id in
      printer.append(id)
      return true
    }
    printer.finish()
  }
}

/// Prints tokens as they come, and waits where one ends in the middle of a character.
private struct TextPrinter {
  let tokenizer: Tokenizer
  /// The last token that was shown: what a token stands for may depend on what is before it.
  private var context: [Int32]
  private var pending: [Int32] = []

  init(tokenizer: Tokenizer, after prompt: [Int32]) {
    self.tokenizer = tokenizer
    context = prompt.suffix(1)
  }

  mutating func append(_ id: Int32) {
    pending.append(id)
    let text = pendingText
    // A character has at most four bytes, so a longer wait would be for one that never comes.
    if text.unicodeScalars.last == "\u{FFFD}" && pending.count < 4 { return }
    show(text)
  }

  mutating func finish() {
    show(pendingText)
    print()
  }

  private var pendingText: String {
    let before = tokenizer.decode(context, skipSpecialTokens: true)
    let whole = tokenizer.decode(context + pending, skipSpecialTokens: true)
    // By bytes: a mark that joins the character before it would otherwise be part of that.
    guard whole.utf8.starts(with: before.utf8) else {
      return tokenizer.decode(pending, skipSpecialTokens: true)
    }
    return String(decoding: whole.utf8.dropFirst(before.utf8.count), as: UTF8.self)
  }

  private mutating func show(_ text: String) {
    print(text, terminator: "")
    fflush(nil)
    if !pending.isEmpty { context = pending.suffix(1) }
    pending = []
  }
}

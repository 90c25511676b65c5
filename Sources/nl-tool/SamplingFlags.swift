import ArgumentParser
import Foundation
import LanguageModel
import Service

/// How tokens are chosen, for the commands that write text.
struct SamplingFlags: ParsableArguments {
  @Option(help: "0 takes the likeliest token each time; higher is more varied.")
  var temperature = 0.0

  @Option(help: "Draw from so many of the likeliest tokens; by default from all.")
  var topK: Int?

  @Option(help: "Draw from the fewest of the likeliest tokens whose probabilities add up to this.")
  var topP = 1.0

  @Option(help: "Above 1, tokens that are in the text already become less likely.")
  var repetitionPenalty = 1.0

  @Option(
    help: "Seed of the choice at a temperature above 0; the same seed gives the same text on every machine.")
  var seed: UInt64 = 42

  @Option(help: "A string that ends the text, which is shown up to it; may be given several times.")
  var stop: [String] = []

  func validate() throws {
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature must be 0 or more")
    }
    if let topK, topK < 1 { throw ValidationError("--top-k must be at least 1") }
    if !(topP > 0 && topP <= 1) { throw ValidationError("--top-p must be above 0 and at most 1") }
    if !(repetitionPenalty > 0 && repetitionPenalty.isFinite) {
      throw ValidationError("--repetition-penalty must be above 0")
    }
    if stop.contains("") { throw ValidationError("--stop must not be empty") }
    if temperature == 0, topK != nil || topP < 1 {
      throw ValidationError(
        "--top-k and --top-p draw among tokens, and at temperature 0 the likeliest is taken; give --temperature"
      )
    }
  }

  var options: SamplingOptions {
    var options = SamplingOptions()
    options.temperature = temperature
    options.topK = topK
    options.topP = topP
    options.repetitionPenalty = repetitionPenalty
    options.seed = seed
    return options
  }
}

/// Writes a model's text to standard output at once, as it comes; a terminal is not given control characters.
func show(_ text: String) {
  print(isatty(1) == 1 ? TerminalText.visible(text) : text, terminator: "")
  fflush(nil)
}

/// Writes a line to standard error.
func showNote(_ text: String) {
  fflush(nil)
  FileHandle.standardError.write(Data((text + "\n").utf8))
}

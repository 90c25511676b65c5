import ArgumentParser
import Files
import Foundation
import LanguageModel
import Service

/// The options of every command that computes with a model.
struct ModelOptions: ParsableArguments {
  @Option(help: "A model folder in Hugging Face's layout.")
  var model: String

  @Option(help: "An adapter folder, in the form of mlx-lm or of PEFT; a run's checkpoint is one.")
  var adapter: String?

  @Option(
    help: "What the adapter's effect is multiplied with; at 0 the base model computes as it is, to the bit.")
  var adapterScale = 1.0

  @Option(
    help:
      "The domain of all texts, for an adapter whose norms differ by domain; without it they are the base model's, but for rows that name theirs."
  )
  var domain: String?

  @Option(help: "How many threads compute; by default one a core.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
    if !(adapterScale >= 0 && adapterScale.isFinite) {
      throw ValidationError("--adapter-scale must be 0 or more")
    }
    if adapterScale != 1, adapter == nil { throw ValidationError("--adapter-scale needs an --adapter") }
  }

  var folder: String { FileSystem.expandingTilde(model) }

  /// The model, its adapter in place, and its tokenizer.
  func load() throws -> LoadedModel {
    let loaded = try LoadedModel(
      folder: folder, adapter: adapter.map(FileSystem.expandingTilde),
      adapterScale: adapterScale, domain: domain, threads: threads)
    for warning in loaded.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
    return loaded
  }
}

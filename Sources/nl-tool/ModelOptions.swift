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

  @Option(help: "How many threads compute; by default one a core.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
  }

  /// The model, its adapter in place, and its tokenizer.
  func load() throws -> LoadedModel {
    let loaded = try LoadedModel(
      folder: FileSystem.expandingTilde(model), adapter: adapter.map(FileSystem.expandingTilde),
      threads: threads)
    for warning in loaded.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
    return loaded
  }
}

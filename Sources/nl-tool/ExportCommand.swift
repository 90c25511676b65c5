import ArgumentParser
import Files
import Foundation
import GGUF
import JSON
import LanguageModel
import Service

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an adapter in the form of another program, or a model as GGUF.",
    discussion: """
      peft and mlx make a folder, with the tokenizer files beside the adapter; gguf makes a file, which llama.cpp takes by --lora. Without --adapter the model \
      itself becomes a GGUF file.

      Examples:
        nl-tool export --format gguf --adapter runs/demo/checkpoints/best --output demo-lora.gguf
        nl-tool export --format peft --adapter runs/demo/checkpoints/best --model Qwen2.5-0.5B --output demo-peft
        nl-tool export --format gguf --model Qwen2.5-0.5B-demo --type q8_0 --output demo.gguf
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case peft, mlx, gguf }

  @Option(help: ArgumentHelp("Whose form it is.", valueName: "peft|mlx|gguf"))
  var format: Format

  @Option(help: "An adapter folder, in the form of mlx-lm or of PEFT; a run's checkpoint is one.")
  var adapter: String?

  @Option(help: "The base model's folder; by default the one that the adapter names.")
  var model: String?

  @Option(help: "The folder or file to make; it must not be there yet.")
  var output: String

  @Option(
    help: ArgumentHelp(
      "How the matrices of a model are stored; by default f32 if some are so in the model, else bf16.",
      valueName: "f32|f16|bf16|q8_0"))
  var type: GGUFModelWriter.MatrixType?

  func validate() throws {
    if adapter == nil, model == nil { throw ValidationError("give an adapter, or a model, or both") }
    if adapter == nil, format != .gguf {
      throw ValidationError("--format \(format.rawValue) is for an adapter: give it with --adapter")
    }
    if adapter != nil, type != nil {
      throw ValidationError("--type is for a model; an adapter's matrices are f32")
    }
  }

  func run() throws {
    let output = FileSystem.expandingTilde(output)
    guard FileSystem.kind(output) == nil else {
      throw ServiceError("\(output) is already there", remedy: "remove it or choose another name")
    }
    if let adapter {
      try export(adapter: FileSystem.expandingTilde(adapter), to: output)
    } else {
      try exportModel(to: output)
    }
  }

  private func export(adapter folder: String, to output: String) throws {
    let base = try model.map(FileSystem.expandingTilde) ?? Self.base(of: folder)
    let configuration = try ModelFolder.configuration(folder: base)
    let adapter = try AdapterReader.read(folder: folder, model: configuration)
    switch format {
    case .gguf:
      try GGUFAdapterWriter.write(
        adapter, name: FileSystem.name(of: FileSystem.absolute(folder)), model: configuration, to: output)
    case .peft, .mlx:
      let form: AdapterWriter.Form = format == .peft ? .peft : .mlx
      try AtomicFolder.make(output) { temporary in
        try AdapterWriter.write(adapter, as: form, base: base, model: configuration, to: temporary)
        try ModelFolder.copyCompanions(from: Self.tokenizer(of: folder, base: base), to: temporary)
      }
    }
    let specification = adapter.specification
    print(
      "\(output): rank \(specification.rank), scale \(specification.scale), \(specification.modules.count) modules of "
        + "\(base)")
  }

  /// The folder whose tokenizer files go with an adapter: its own, which may have tokens that were added, that of the
  /// checkpoint which it is a part of, or the base model's.
  private static func tokenizer(of folder: String, base: String) -> String {
    let own = [folder, FileSystem.folder(of: FileSystem.absolute(folder))]
    return own.first { FileSystem.kind($0 + "/tokenizer.json") == .file } ?? base
  }

  private func exportModel(to output: String) throws {
    let interruption = Interruption()
    var progress = WorkProgress(label: "weights")
    let folder = try ModelFolder(path: FileSystem.expandingTilde(model ?? ""))
    var writer = try GGUFModelWriter(model: folder)
    if let type { writer.type = type }
    try writer.write(to: output) { done, total in
      try interruption.check()
      progress.show(done, of: total)
    }
    progress.finish()
    for remark in writer.remarks { FileHandle.standardError.write(Data("warning: \(remark)\n".utf8)) }
    print("\(output): \(writer.summary)")
  }

  /// The base model that an adapter names, if it is on this machine.
  private static func base(of folder: String) throws -> String {
    let file = folder + "/adapter_config.json"
    let config = try JSONValue(parsing: AtomicFile.read(file))
    let name = config["base_model_name_or_path"]?.string ?? config["model"]?.string
    guard let name, FileSystem.kind(name + "/config.json") == .file else {
      throw ServiceError(
        "the base model of \(folder) is not known here" + (name.map { ": there is no folder \($0)" } ?? ""),
        remedy: "give its folder with --model DIR")
    }
    return name
  }
}

extension GGUFModelWriter.MatrixType: ExpressibleByArgument {}

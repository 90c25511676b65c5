import ArgumentParser
import Files
import Foundation
import GGUF
import LanguageModel
import Service

extension ModelCommand {
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "import", abstract: "Make a model folder out of a GGUF file, to be trained and used here.",
      discussion: """
        Architectures llama (Mistral too), qwen2 and qwen3; tensors in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, \
        Q4_K, Q5_K and Q6_K. The weights are what gguf-py decodes, to the bit, and then stored as --dtype says. \
        config.json, the tokenizer, the chat template and generation_config.json are made of the file's metadata.

        Examples:
          nl-tool model import SmolLM2-135M-Instruct.Q4_1.gguf --output SmolLM2
          nl-tool model import qwen2.5-7b-q4_k_m.gguf --output Qwen2.5-7B --dtype bf16 --shard-size 2GB
        """)

    @Argument(help: "The GGUF file.")
    var file: String

    @Option(help: "The folder to make.")
    var output: String

    @Option(
      help: ArgumentHelp(
        "How weights are stored. By default f32 if matrices of the file are F32 or F16, else bf16: that is exact for BF16, "
          + "and for quantised ones much finer than their own rounding.", valueName: "bf16|f16|f32"))
    var dtype: WrittenType?

    @Option(
      help: ArgumentHelp("How large a file of weights may be, as in 5GB or 800MB.", valueName: "size"))
    var shardSize = ByteSize(bytes: ShardedSafetensorsWriter.standardSize)

    @Option(
      help: ArgumentHelp(
        "transformers: the same ids as its AutoTokenizer.from_pretrained(gguf_file=…). original: with what else the name in "
          + "tokenizer.ggml.pre stands for, which transformers leaves out.",
        valueName: "transformers|original"))
    var tokenizerRules = TokenizerRules.transformers

    @Option(help: "A folder whose tokenizer files are taken instead of what the GGUF file says.")
    var tokenizer: String?

    func run() throws {
      var importer = GGUFImporter(file: FileSystem.expandingTilde(file))
      importer.dtype = dtype
      importer.shardSize = shardSize.bytes
      importer.rules = tokenizerRules
      importer.tokenizerFolder = tokenizer.map(FileSystem.expandingTilde)
      let interruption = Interruption()
      var progress = WorkProgress(label: "weights")
      let output = FileSystem.expandingTilde(output)
      let report = try importer.run(output: output) { done, total in
        try interruption.check()
        progress.show(done, of: total)
      }
      progress.finish()
      for warning in report.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
      print(try ModelInspection.report(folder: output).text)
      print(report.lines.joined(separator: "\n"))
    }
  }
}

extension WrittenType: ExpressibleByArgument {}
extension TokenizerRules: ExpressibleByArgument {}

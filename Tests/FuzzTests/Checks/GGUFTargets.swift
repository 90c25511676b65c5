import GGUF
import LanguageModel

extension FuzzTarget {
  /// A whole GGUF file. A tensor that is accepted must lie in it; what the metadata say must become a folder's files or an
  /// error.
  static let gguf = FuzzTarget(name: "gguf") { input in
    ScratchFolder.with(input, named: "model.gguf") { path in
      guard let file = try? GGUFFile(path: path) else { return nil }
      for tensor in file.tensors where tensor.type != nil && tensor.count < 1 << 20 {
        guard file.floats(of: tensor).count == tensor.count else {
          return "\(tensor.name) has not as many numbers as its shape \(tensor.shape)"
        }
      }
      for rules in TokenizerRules.allCases {
        var importer = GGUFImporter(file: path)
        importer.rules = rules
        let output = path + "." + rules.rawValue
        guard (try? importer.run(output: output) { _, _ in }) != nil else { continue }
        guard let folder = try? ModelFolder(path: output) else {
          return "an imported model cannot be read"
        }
        // A tokenizer of odd parts may be refused, by a clear error.
        _ = try? folder.tokenizer().encode("a <b> 12", addSpecialTokens: true)
      }
      return nil
    }
  }
}

import Files

extension ModelFolder {
  /// The files beside the weights that say how text becomes ids and ids become text.
  static let companionFiles = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json",
  ]

  /// Copies those of them that are in `source`.
  static func copyCompanions(from source: String, to target: String) throws {
    for name in companionFiles where FileSystem.kind(source + "/" + name) != nil {
      let file = try MappedFile(path: source + "/" + name)
      try AtomicFile.write(to: target + "/" + name) { write throws(FileError) in try write(file.bytes) }
    }
  }
}

import Files

extension ModelFolder {
  /// The files beside the weights that say how text becomes ids and ids become text.
  package static let companionFiles = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json",
  ]

  /// The folder of further chat templates, as in `tool_use.jinja`.
  package static let templateFolder = "additional_chat_templates"

  /// Copies those of them that are in `source`.
  ///
  /// - Parameter required: false if one that cannot be read is left out, rather than an error.
  package static func copyCompanions(from source: String, to target: String, required: Bool = true) throws {
    let templates = (try? FileSystem.names(in: source + "/" + templateFolder)) ?? []
    let further = templates.filter { $0.hasSuffix(".jinja") }.map { templateFolder + "/" + $0 }
    if !further.isEmpty { try FileSystem.makeFolders(target + "/" + templateFolder) }
    for name in companionFiles + further where FileSystem.kind(source + "/" + name) == .file {
      let file: MappedFile
      do { file = try MappedFile(path: source + "/" + name) } catch {
        if required { throw error }
        continue
      }
      try AtomicFile.write(to: target + "/" + name) { write throws(FileError) in try write(file.bytes) }
    }
  }
}

import Foundation

/// Folders that appear under their name whole or not at all.
enum DurableFolder {
  /// Lets `body` fill a folder beside `path`, then renames it to `path`, which must not be there yet.
  static func make(_ path: String, _ body: (_ temporaryPath: String) throws -> Void) throws {
    guard !FileManager.default.fileExists(atPath: path) else {
      throw ModelError(file: path, "is already there; remove it or choose another name")
    }
    let parent = (path as NSString).deletingLastPathComponent
    if !parent.isEmpty { try DurableFile.makeFolder(parent) }
    let temporary = "\(path).\(getpid()).partial"
    try? FileManager.default.removeItem(atPath: temporary)
    do {
      try DurableFile.makeFolder(temporary)
      try body(temporary)
      try DurableFile.sync(folder: temporary)
      guard rename(temporary, path) == 0 else {
        throw ModelError(file: path, "cannot be written: \(systemError())")
      }
    } catch {
      try? FileManager.default.removeItem(atPath: temporary)
      throw error
    }
    try DurableFile.syncFolder(of: path)
  }

  /// Copies those of the named files that are in `source`.
  static func copy(_ names: [String], from source: String, to target: String) throws(ModelError) {
    for name in names where FileManager.default.fileExists(atPath: source + "/" + name) {
      let file = try MappedFile(path: source + "/" + name)
      try DurableFile.write(Array(file.bytes), to: target + "/" + name)
    }
  }
}

extension ModelFolder {
  /// The files beside the weights that say how text becomes ids and ids become text.
  static let companionFiles = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "chat_template.jinja", "chat_template.json",
    "generation_config.json",
  ]
}

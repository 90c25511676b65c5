import Files
import JSON
import Service

/// Words that people put to runs: `tags.json` in a run's folder, so that they go where it goes.
enum RunTags {
  private static let most = 20
  private static let mostLetters = 50

  private static func path(_ folder: String) -> String { folder + "/tags.json" }

  /// Changes when they do.
  static func mark(_ folder: String) -> String { "\(FileSystem.modificationTime(path(folder)) ?? 0)" }

  /// None where the file is not what is written here.
  static func of(_ folder: String) -> [String] {
    guard let size = FileSystem.size(path(folder)), size < 1 << 16,
      let bytes = try? AtomicFile.read(path(folder)), let json = try? JSONValue(parsing: bytes)
    else { return [] }
    return json.array?.compactMap(\.string) ?? []
  }

  /// - Throws: `RunRequestError` if they are none, or cannot be written.
  static func put(_ value: JSONValue?, in folder: String) throws -> [String] {
    guard let items = value?.array, items.count <= most, items.allSatisfy({ $0.string != nil }) else {
      throw RunRequestError(.invalid, "tags must be a list of at most \(most) words", field: "tags")
    }
    var tags: [String] = []
    for tag in items.compactMap(\.string) where !tags.contains(tag) {
      guard (1...mostLetters).contains(tag.count), tag.utf8.count <= 4 * mostLetters,
        !tag.unicodeScalars.contains(where: { $0.properties.generalCategory == .control || $0 == "," })
      else {
        throw RunRequestError(
          .invalid, "\"\(tag.prefix(80))\" cannot be a tag", field: "tags",
          hint: "one has up to \(mostLetters) letters, and no comma")
      }
      tags.append(tag)
    }
    do { try AtomicFile.write(JSONValue.strings(tags).bytes(), to: path(folder)) } catch {
      throw RunRequestError(
        .unavailable, "the tags could not be written: \(error)", hint: "make room on the disk")
    }
    return tags
  }
}

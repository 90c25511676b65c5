import ArgumentParser
import Dataset
import Files
import Foundation
import JSON
import Service

struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache",
    abstract:
      "List or remove what is kept on this machine: base models that workers fetched, and token rows.",
    discussion: """
      A worker keeps what it fetches in $NL_MODEL_CACHE, or nested-learning/models in $XDG_CACHE_HOME or ~/.cache, in a \
      folder named by the model's SHA-256. Rows of large data files are kept in $NL_TOKEN_CACHE, or in \
      nested-learning/tokens; what was not used for 90 days goes by itself, and the least recently used does where all \
      together have more than $NL_TOKEN_CACHE_LIMIT (\(TokenCache.standardLimit)). To remove anything is safe at any time: \
      it is fetched, or made, again when it is needed.
      """,
    subcommands: [List.self, Remove.self])

  struct Places: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "The folder of models, if it is not where workers keep it by default.", valueName: "dir"))
    var modelCache: String?

    @Option(
      help: ArgumentHelp(
        "The folder of token rows, if it is not where they are kept by default.", valueName: "dir"))
    var tokenCache: String?

    @Option(help: "Models alone, or token rows alone.")
    var only: CacheEntry.Kind?

    /// The latest used first, models before token rows, and the folders that were looked at.
    func entries() throws -> (entries: [CacheEntry], folders: [String]) {
      let environment = ProcessInfo.processInfo.environment
      var (entries, folders): ([CacheEntry], [String]) = ([], [])
      if only != .tokens {
        let cache = try CachedModels(
          option: modelCache.map(FileSystem.expandingTilde), environment: environment)
        entries += try cache.list().map { CacheEntry($0, in: cache) }
        folders.append(cache.path)
      }
      let folder = tokenCache.map(FileSystem.expandingTilde) ?? TokenCache.folder(environment: environment)
      if only != .models, let folder {
        let cache = CachedRows(folder: folder)
        entries += try cache.list().map { CacheEntry($0, in: cache) }
        folders.append(cache.folder)
      }
      return (entries, folders)
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "What is kept, the latest used first.",
      discussion: """
        Example:
          nl-tool cache list
        """)

    @OptionGroup var places: Places

    @Flag(help: "Print one JSON list.")
    var json = false

    func run() throws {
      let (entries, folders) = try places.entries()
      if json { return print(JSONValue.array(entries.map(\.json)).text) }
      for entry in entries { print(entry.line) }
      print(CacheCommand.sum(of: entries) + " in " + folders.joined(separator: " and "))
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Delete what is kept.",
      discussion: """
        Examples:
          nl-tool cache remove 3f9a12
          nl-tool cache remove --unused-for 30
          nl-tool cache remove --all --only tokens
        """)

    @OptionGroup var places: Places

    @Argument(
      help: ArgumentHelp("The beginning of a SHA-256, as `list` shows it.", valueName: "sha256"))
    var names: [String] = []

    @Flag(help: "All of it.")
    var all = false

    @Option(help: ArgumentHelp("What nothing has used for so many days.", valueName: "days"))
    var unusedFor: Double?

    func validate() throws {
      let ways = [!names.isEmpty, all, unusedFor != nil].count(where: \.self)
      if ways != 1 { throw ValidationError("say which: names, --all, or --unused-for DAYS") }
      if let unusedFor, !(unusedFor >= 0) { throw ValidationError("--unused-for must be 0 or more") }
    }

    func run() throws {
      let (entries, folders) = try places.entries()
      let chosen = try chosen(entries, in: folders.joined(separator: " or "))
      for entry in chosen {
        try entry.remove()
        print("removed \(entry.line)")
      }
      print(CacheCommand.sum(of: chosen) + " freed")
    }

    private func chosen(_ entries: [CacheEntry], in folders: String) throws -> [CacheEntry] {
      if all { return entries }
      if let unusedFor {
        let limit = Date(timeIntervalSinceNow: -unusedFor * 86_400)
        return entries.filter { ($0.lastUsed ?? .distantPast) <= limit }
      }
      var chosen: [CacheEntry] = []
      for name in names {
        let found = entries.filter { $0.sha256.hasPrefix(name.lowercased()) }
        guard let first = found.first else {
          throw ServiceError(
            "nothing in \(folders) has a SHA-256 that begins with \(name)", remedy: "see nl-tool cache list")
        }
        guard Set(found.map(\.sha256)).count == 1 else {
          throw ServiceError("\(found.count) entries begin with \(name)", remedy: "give more of the SHA-256")
        }
        if !chosen.contains(where: { $0.sha256 == first.sha256 }) { chosen += found }
      }
      return chosen
    }
  }

  private static func sum(of entries: [CacheEntry]) -> String {
    let models = entries.count { $0.kind == .models }
    let bytes = entries.reduce(0) { $0 + $1.bytes }
    return "\(models) model(s), \(entries.count - models) file(s) of token rows, \(ByteSize.megabytes(bytes))"
  }
}

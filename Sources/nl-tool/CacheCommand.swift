import ArgumentParser
import Files
import Foundation
import JSON
import Service

struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache", abstract: "List or remove the base models that workers fetched on this machine.",
    discussion: """
      A worker keeps what it fetches in $NL_MODEL_CACHE, or nested-learning/models in $XDG_CACHE_HOME or ~/.cache, in a \
      folder named by the model's SHA-256. To remove one is safe at any time: a worker that needs it fetches it again.
      """,
    subcommands: [List.self, Remove.self])

  struct Place: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "The cache's folder, if it is not where workers keep it by default.", valueName: "dir"))
    var modelCache: String?

    func models() throws -> CachedModels {
      try CachedModels(
        option: modelCache.map(FileSystem.expandingTilde), environment: ProcessInfo.processInfo.environment)
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "The fetched models, the latest used first.",
      discussion: """
        Example:
          nl-tool cache list
        """)

    @OptionGroup var place: Place

    @Flag(help: "Print one JSON list.")
    var json = false

    func run() throws {
      let cache = try place.models()
      let models = try cache.list()
      if json { return print(JSONValue.array(models.map(\.json)).text) }
      guard !models.isEmpty else { return print("\(cache.path): no models") }
      for model in models { print(model.line) }
      let total = models.reduce(0) { $0 + $1.bytes }
      print("\(models.count) model(s), \(CachedModels.Model.megabytes(total)) in \(cache.path)")
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Delete fetched models.",
      discussion: """
        Examples:
          nl-tool cache remove 3f9a12
          nl-tool cache remove --unused-for 30
          nl-tool cache remove --all
        """)

    @OptionGroup var place: Place

    @Argument(
      help: ArgumentHelp("The beginning of a model's SHA-256, as `list` shows it.", valueName: "sha256"))
    var names: [String] = []

    @Flag(help: "All of them.")
    var all = false

    @Option(help: ArgumentHelp("Those that no worker has taken up for so many days.", valueName: "days"))
    var unusedFor: Double?

    func validate() throws {
      let ways = [!names.isEmpty, all, unusedFor != nil].count(where: \.self)
      if ways != 1 { throw ValidationError("say which: names, --all, or --unused-for DAYS") }
      if let unusedFor, !(unusedFor >= 0) { throw ValidationError("--unused-for must be 0 or more") }
    }

    func run() throws {
      let cache = try place.models()
      let chosen = try chosen(try cache.list(), in: cache.path)
      for model in chosen {
        try cache.remove(model)
        print("removed \(model.line)")
      }
      let total = chosen.reduce(0) { $0 + $1.bytes }
      print("\(chosen.count) model(s), \(CachedModels.Model.megabytes(total)) freed")
    }

    private func chosen(_ models: [CachedModels.Model], in path: String) throws -> [CachedModels.Model] {
      if all { return models }
      if let unusedFor {
        let limit = Date(timeIntervalSinceNow: -unusedFor * 86_400)
        return models.filter { ($0.lastUsed ?? .distantPast) <= limit }
      }
      var chosen: [CachedModels.Model] = []
      for name in names {
        let found = models.filter { $0.sha256.hasPrefix(name.lowercased()) }
        guard let first = found.first else {
          throw ServiceError(
            "no model in \(path) has a SHA-256 that begins with \(name)", remedy: "see nl-tool cache list")
        }
        guard Set(found.map(\.sha256)).count == 1 else {
          throw ServiceError("\(found.count) models begin with \(name)", remedy: "give more of the SHA-256")
        }
        if !chosen.contains(where: { $0.sha256 == first.sha256 }) { chosen += found }
      }
      return chosen
    }
  }
}

extension CachedModels.Model {
  fileprivate static func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }

  fileprivate var line: String {
    let state = isBeingFetched ? ", being fetched" : isWhole ? "" : ", a part: its fetch was cut short"
    return
      "\(sha256.prefix(12))  \(Self.megabytes(bytes))  last used \(time ?? "?")  \(summary ?? "?")\(state)"
  }

  /// UTC, to the minute.
  private var time: String? {
    lastUsed.map { String(ISO8601DateFormatter().string(from: $0).prefix(16)) + "Z" }
  }

  fileprivate var json: JSONValue {
    [
      "sha256": .string(sha256), "path": .string(path), "bytes": .number(bytes), "whole": .bool(isWhole),
      "being_fetched": .bool(isBeingFetched),
      "last_used": lastUsed.map { .string(ISO8601DateFormatter().string(from: $0)) } ?? .null,
      "model": summary.map { .string($0) } ?? .null,
    ]
  }
}

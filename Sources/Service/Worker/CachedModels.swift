import Files
import Foundation
import LanguageModel

/// What workers have fetched on this machine, for those who look after its disk.
package struct CachedModels {
  private let cache: ModelCache

  /// - Parameter option: the cache's folder; nil: where a worker would keep it.
  package init(option: String?, environment: [String: String]) throws {
    cache = try ModelCache(option: option, environment: environment)
  }

  /// The folder of the cache.
  package var path: String { cache.path }

  /// A base model, or what has come of one.
  package struct Model: Sendable {
    package let sha256: String
    package let path: String
    package let bytes: Int
    /// False for one whose fetch was cut short; the next worker that needs it goes on with it.
    package let isWhole: Bool
    /// Whether a worker fetches it now.
    package let isBeingFetched: Bool
    /// When a worker last took it up, or fetched some of it.
    package let lastUsed: Date?
    /// As in "qwen2, 24 layers"; nil if its config.json cannot be read.
    package let summary: String?
  }

  /// The least recently used last.
  package func list() throws -> [Model] {
    guard FileSystem.kind(cache.path) == .folder else { return [] }
    let models = try FileSystem.names(in: cache.path).compactMap(model)
    return models.sorted { ($0.lastUsed ?? .distantPast) > ($1.lastUsed ?? .distantPast) }
  }

  /// Deletes a model. A worker that has it loaded keeps it in memory, and fetches it again when it next needs it.
  ///
  /// - Throws: `ServiceError` if a worker fetches it now.
  package func remove(_ model: Model) throws {
    let lock: FolderLock
    do { lock = try cache.lock(model.sha256) } catch let taken as FolderLock.Taken {
      throw ServiceError(
        "\(model.sha256) is being fetched by \(taken.holder ?? "a worker")",
        remedy: "wait for it, or end the worker")
    }
    try withExtendedLifetime(lock) {
      // Under a name that no worker looks for, so that one cut short is not taken for a model.
      let doomed = cache.path + "/" + AtomicFile.temporaryPrefix + model.sha256
      try FileSystem.remove(doomed)
      try FileSystem.rename(model.path, to: doomed)
      try FileSystem.remove(doomed)
      try FileSystem.remove(cache.folder(model.sha256) + ".lock")
    }
  }

  private func model(named name: String) -> Model? {
    let isWhole = !name.hasSuffix(ModelCache.partialSuffix)
    let sha256 = isWhole ? name : String(name.dropLast(ModelCache.partialSuffix.count))
    guard sha256.utf8.count == 64, sha256.utf8.allSatisfy(Self.isHexadecimal) else { return nil }
    let path = cache.path + "/" + name
    guard FileSystem.kind(path) == .folder else { return nil }
    let files = ((try? FileSystem.names(in: path)) ?? []).map { path + "/" + $0 }
    let configuration = try? ModelFolder.configuration(folder: path)
    return Model(
      sha256: sha256, path: path, bytes: files.compactMap(FileSystem.size).reduce(0, +), isWhole: isWhole,
      isBeingFetched: FolderLock.isHeld(cache.folder(sha256) + ".lock") ?? false,
      lastUsed: ([path] + files).compactMap(FileSystem.modificationTime).max().map(
        Date.init(timeIntervalSince1970:)),
      summary: configuration.map {
        "\($0.modelType), \($0.layerCount) layers of \($0.hiddenSize), vocabulary \($0.vocabularySize)"
      })
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
    default: false
    }
  }
}

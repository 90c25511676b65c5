import Files
import NestedLearning

/// The files that a config's paths stand for: a folder stands for the files in it that are named for a purpose.
public struct DataFiles: Sendable, Equatable {
  public let train: [WeightedPath]
  /// Empty: the last rows of the training files are kept for it.
  public let validation: [String]

  /// - Throws: `DataError` if a folder has no file of the kind.
  public init(config: NestedLearningConfig) throws(DataError) {
    let given =
      config.trainDataFiles.isEmpty ? [WeightedPath(path: config.trainDataPath)] : config.trainDataFiles
    var train: [WeightedPath] = []
    var beside: [String] = []
    for entry in given {
      for path in try Self.files(entry.path, .train) {
        train.append(WeightedPath(path: path, weight: entry.weight))
      }
      if FileSystem.kind(entry.path) == .folder { beside += Self.found(in: entry.path, .valid) }
    }
    self.train = train
    let named = config.valDataFiles.isEmpty ? [config.valDataPath].compactMap(\.self) : config.valDataFiles
    var validation: [String] = []
    for path in named { validation += try Self.files(path, .valid) }
    self.validation = named.isEmpty ? beside : validation
  }

  /// What a file is for, by its name: `train.jsonl`, `train-00000-of-00002.json`, `valid_de.csv.gz`, ….
  public enum Purpose: Sendable {
    case train, valid, test

    var names: [String] {
      switch self {
      case .train: ["train"]
      case .valid: ["valid", "validation", "val", "dev"]
      case .test: ["test"]
      }
    }
  }

  private static let endings = [".jsonl", ".ndjson", ".json", ".csv", ".tsv"]

  /// The files that a path stands for: itself, unless it is a folder.
  public static func files(_ path: String, _ purpose: Purpose) throws(DataError) -> [String] {
    guard FileSystem.kind(path) == .folder else { return [path] }
    let files = found(in: path, purpose)
    guard !files.isEmpty else {
      throw DataError(
        file: path, reason: "is a folder without a file named \(purpose.names.joined(separator: " or "))",
        remedy:
          "name one \(purpose.names[0]).jsonl (or .json, .csv, .tsv, each perhaps with .gz), or give its path"
      )
    }
    return files
  }

  /// The files that a path stands for, whatever they are for.
  public static func all(_ path: String) throws(DataError) -> [String] {
    guard FileSystem.kind(path) == .folder else { return [path] }
    let others = found(in: path, .valid) + found(in: path, .test)
    return try (others.isEmpty ? files(path, .train) : found(in: path, .train)) + others
  }

  /// In the order of their names' bytes.
  private static func found(in folder: String, _ purpose: Purpose) -> [String] {
    let names = (try? FileSystem.names(in: folder)) ?? []
    return names.filter { isNamed($0, for: purpose) }.map { folder + "/" + $0 }
  }

  private static func isNamed(_ name: String, for purpose: Purpose) -> Bool {
    var stem = name.lowercased()[...]
    if stem.hasSuffix(".gz") { stem = stem.dropLast(3) }
    guard let ending = endings.first(where: stem.hasSuffix) else { return false }
    stem = stem.dropLast(ending.count)
    return purpose.names.contains { known in
      stem == known || (stem.hasPrefix(known) && "-_.".contains(stem.dropFirst(known.count).first ?? " "))
    }
  }
}

import Files
import Foundation
import JSON
import Service

/// What lies below the configured folders that a run can be made from.
struct Library: Sendable {
  let policy: PathPolicy
  /// How deep folders are looked through, and how much is listed at most.
  private static let depth = 4
  private static let most = 2000

  /// Folders with a model: a config.json with a `model_type`.
  var models: JSONValue {
    .array(
      Self.folders(policy.models).compactMap { folder, name in
        guard let config = Self.json(folder + "/config.json"), let type = config["model_type"]?.string else {
          return nil
        }
        let layers = config["num_hidden_layers"]?.int ?? config["n_layer"]?.int
        return [
          "id": .string(name), "path": .string(folder), "model_type": .string(type),
          "layers": layers.map { .number($0) } ?? nil,
          "bytes": .number(Self.bytes(of: folder, endings: ["safetensors", "gguf"])),
        ]
      })
  }

  /// Checkpoints of runs that are adapters, and adapters that lie beside models.
  var adapters: JSONValue {
    let ofRuns = Self.folders(policy.runs).map { ("runs", $0.0, $0.1) }
    let others = Self.folders(policy.models).map { ("models", $0.0, $0.1) }
    return .array(
      (ofRuns + others).compactMap { place, folder, name in
        guard let config = Self.json(folder + "/adapter_config.json"), !folder.hasSuffix("/peft") else {
          return nil
        }
        return [
          "id": .string(name), "path": .string(folder), "in": .string(place),
          "base_model": config["model"] ?? config["base_model_name_or_path"] ?? .null,
        ]
      })
  }

  private static let dataEndings = ["jsonl", "json", "csv", "txt", "gz"]

  var datasets: JSONValue {
    var found: [JSONValue] = []
    for (folder, name) in Self.folders(policy.data) {
      for file in (try? FileSystem.names(in: folder)) ?? []
      where !file.hasPrefix(".") && found.count < Self.most {
        let path = folder + "/" + file
        guard dataEndings(file), FileSystem.kind(path) == .file else { continue }
        found.append([
          "id": .string(name.isEmpty ? file : name + "/" + file), "path": .string(path),
          "bytes": .number(FileSystem.size(path) ?? 0),
        ])
      }
    }
    return .array(found)
  }

  private func dataEndings(_ file: String) -> Bool {
    Self.dataEndings.contains { file.hasSuffix("." + $0) }
  }

  /// The folder itself and those below it, with their names relative to it; those that a dot begins are left out.
  private static func folders(_ root: String) -> [(path: String, name: String)] {
    var all = [(path: root, name: "")]
    var level = all
    for _ in 0..<depth where all.count < most {
      level = level.flatMap { folder -> [(path: String, name: String)] in
        let names = (try? FileSystem.names(in: folder.path)) ?? []
        return names.filter { !$0.hasPrefix(".") && FileSystem.kind(folder.path + "/" + $0) == .folder }
          .sorted().map {
            (folder.path + "/" + $0, folder.name.isEmpty ? $0 : folder.name + "/" + $0)
          }
      }
      all += level
    }
    return Array(all.prefix(most))
  }

  private static func json(_ path: String) -> JSONValue? {
    guard let size = FileSystem.size(path), size < 1 << 20, let bytes = try? AtomicFile.read(path) else {
      return nil
    }
    return try? JSONValue(parsing: bytes)
  }

  private static func bytes(of folder: String, endings: [String]) -> Int {
    ((try? FileSystem.names(in: folder)) ?? []).filter { name in endings.contains { name.hasSuffix("." + $0) }
    }
    .reduce(0) { $0 + (FileSystem.size(folder + "/" + $1) ?? 0) }
  }
}

import Foundation
import JSON

/// The tensors of a model folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
public final class WeightStore: Sendable {
  /// In ascending order of their UTF-8 bytes.
  public let names: [String]
  /// The paths of the safetensors files, in ascending order of their names.
  public let files: [String]
  /// The index file, if the weights are in shards.
  public let indexFile: String?

  private let fileOfName: [String.UTF8Bytes: SafetensorsFile]
  private let folder: String

  /// The tensor that stands for another that is not in the files, by the other's name.
  private let standIns: [String: String]

  public static let embeddingName = "model.embed_tokens.weight"
  public static let headName = "lm_head.weight"
  static let singleName = "model.safetensors"
  static let indexName = "model.safetensors.index.json"

  /// - Parameter headIsEmbedding: embedding and head are one matrix, which may be stored under either name.
  public init(folder: String, headIsEmbedding: Bool = false) throws(ModelError) {
    self.folder = folder
    let single = folder + "/" + Self.singleName
    let index = folder + "/" + Self.indexName
    let manager = FileManager.default
    if manager.fileExists(atPath: single) {
      let file = try SafetensorsFile(path: single)
      names = file.names
      files = [single]
      indexFile = nil
      fileOfName = .init(uniqueKeysWithValues: file.names.map { (.init($0), file) })
    } else if manager.fileExists(atPath: index) {
      let shards = try Self.shards(index: index, folder: folder)
      names = shards.keys.map(\.text).sorted(by: utf8Ascending)
      files = Set(shards.values.map(\.path)).sorted(by: utf8Ascending)
      indexFile = index
      fileOfName = shards
    } else {
      throw ModelError(
        file: folder,
        "holds neither \(Self.singleName) nor \(Self.indexName); weights are read in safetensors form alone")
    }
    let lacksEmbedding =
      fileOfName[.init(Self.embeddingName)] == nil && fileOfName[.init(Self.headName)] != nil
    standIns = headIsEmbedding && lacksEmbedding ? [Self.embeddingName: Self.headName] : [:]
  }

  /// Whether there are both an embedding and a head, and they are not the same numbers.
  var hasHeadOfItsOwn: Bool {
    get throws(ModelError) {
      guard contains(Self.embeddingName), contains(Self.headName) else { return false }
      let (embedding, head) = (try tensor(Self.embeddingName), try tensor(Self.headName))
      guard embedding.shape == head.shape else { return true }
      return embedding.dtype == head.dtype
        ? !embedding.hasSameBytes(as: head) : embedding.floats() != head.floats()
    }
  }

  /// The tensors that a configuration has no place for. What is computed from the configuration itself, such as RoPE's
  /// frequencies in older checkpoints, does not count.
  func names(leftOutBy configuration: ModelConfiguration) -> [String] {
    var known = Set(configuration.tensors.map { String.UTF8Bytes($0.name) })
    if configuration.tiedEmbeddings { known.insert(.init(Self.headName)) }
    return names.filter { !known.contains(.init($0)) && !$0.hasSuffix(".rotary_emb.inv_freq") }
  }

  /// nil if there is no such tensor, or if it is stored in a format that weights cannot have.
  public subscript(name: String) -> StoredTensor? { try? tensor(name) }

  /// - Throws: if there is no such tensor, or it is stored in a format that weights cannot have.
  public func tensor(_ name: String) throws(ModelError) -> StoredTensor {
    let stored = standIns[name] ?? name
    guard let file = fileOfName[.init(stored)] else {
      let hint =
        name == Self.headName
        ? ", and config.json does not say that it is the embedding (tie_word_embeddings)" : ""
      throw ModelError(file: indexFile ?? files.first ?? folder, name: "tensor \(name)", "is missing\(hint)")
    }
    return try file.tensor(stored)
  }

  /// The tensor, if it has this shape.
  public func tensor(_ name: String, shape: [Int]) throws(ModelError) -> StoredTensor {
    let stored = try tensor(name)
    guard stored.shape == shape else {
      throw ModelError(
        file: file(of: name), name: "tensor \(name)",
        "has the shape \(stored.shape), but config.json asks for \(shape)")
    }
    return stored
  }

  /// The path of the file that holds a tensor, or for an unknown name that of the folder; for error messages.
  func file(of name: String) -> String { fileOfName[.init(standIns[name] ?? name)]?.path ?? folder }

  public func contains(_ name: String) -> Bool { fileOfName[.init(name)] != nil }

  /// Fails unless every tensor that the configuration asks for is there with its shape, in a supported format.
  func check(against configuration: ModelConfiguration) throws(ModelError) {
    for expected in configuration.tensors { _ = try tensor(expected.name, shape: expected.shape) }
  }

  private static func shards(
    index: String, folder: String
  ) throws(ModelError) -> [String.UTF8Bytes: SafetensorsFile] {
    let json = try readJSON(path: index)
    guard let map = json["weight_map"]?.object else {
      throw ModelError(
        file: index, name: "weight_map", "must be an object that gives the file of every tensor")
    }
    var opened: [String: SafetensorsFile] = [:]
    var shards: [String.UTF8Bytes: SafetensorsFile] = [:]
    shards.reserveCapacity(map.members.count)
    for member in map.members {
      let place = "line \(member.line), weight_map.\(member.key)"
      guard let name = member.value.string else {
        throw ModelError(file: index, name: place, "must be a file name, not \(member.value.kind)")
      }
      guard !name.isEmpty, !name.contains("/"), name != "..", name.hasSuffix(".safetensors") else {
        throw ModelError(
          file: index, name: place, "\"\(name)\" is not the name of a safetensors file in this folder")
      }
      let file: SafetensorsFile
      if let open = opened[name] {
        file = open
      } else {
        file = try SafetensorsFile(path: folder + "/" + name)
        opened[name] = file
      }
      guard file.contains(member.key) else {
        throw ModelError(
          file: file.path, name: "tensor \(member.key)", "is missing, though \(indexName) places it here")
      }
      shards[.init(member.key)] = file
    }
    return shards
  }
}

/// Reads a JSON file; the error names the file and the place in it.
func readJSON(path: String) throws(ModelError) -> JSONValue {
  let file = try mappedFile(path)
  do throws(JSONError) {
    return try JSONValue(parsing: file.bytes)
  } catch {
    throw ModelError(file: path, "is not valid JSON: \(error)")
  }
}

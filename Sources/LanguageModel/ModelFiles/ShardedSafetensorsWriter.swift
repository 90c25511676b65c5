import Files
import JSON

/// Writes the weights of a model folder: one file, or shards with an index where one would be too large.
public enum ShardedSafetensorsWriter {
  /// Bytes of a shard unless something else is asked for.
  public static let standardSize = 5_000_000_000

  /// Writes `model.safetensors`, or `model-00001-of-00003.safetensors` and so on with `model.safetensors.index.json`.
  ///
  /// - Parameters:
  ///   - items: in the order in which they are spread over the shards.
  ///   - size: bytes of tensors in a shard at most; a tensor that is larger has one by itself.
  ///   - folder: is there.
  /// - Returns: the names of the weight files.
  @discardableResult
  public static func write(
    _ items: [SafetensorsItem], size: Int = standardSize, to folder: String
  ) throws -> [String] {
    let shards = split(items, size: size)
    guard shards.count > 1 else {
      try SafetensorsWriter.write(items, to: folder + "/" + WeightStore.singleName)
      return [WeightStore.singleName]
    }
    let names = (1...shards.count).map { "model-\(padded($0))-of-\(padded(shards.count)).safetensors" }
    for (name, shard) in zip(names, shards) { try SafetensorsWriter.write(shard, to: folder + "/" + name) }
    try AtomicFile.write(index(shards, names).bytes(indent: 2), to: folder + "/" + WeightStore.indexName)
    return names
  }

  private static func split(_ items: [SafetensorsItem], size: Int) -> [[SafetensorsItem]] {
    var shards: [[SafetensorsItem]] = [[]]
    var bytes = 0
    for item in items {
      if bytes > 0, item.byteCount > size - bytes {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(item)
      bytes += item.byteCount
    }
    return shards
  }

  private static func index(_ shards: [[SafetensorsItem]], _ names: [String]) -> JSONValue {
    let places = zip(shards, names).flatMap { shard, name in shard.map { ($0.name, name) } }
    let members = places.sorted { utf8Ascending($0.0, $1.0) }.map {
      JSONObject.Member(key: $0.0, value: .string($0.1))
    }
    let total = shards.reduce(0) { $1.reduce($0) { $0 + $1.byteCount } }
    return ["metadata": ["total_size": .number(total)], "weight_map": .object(JSONObject(members))]
  }

  /// In five digits.
  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}

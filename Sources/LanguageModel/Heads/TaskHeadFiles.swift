import Files
import Foundation
import JSON

/// The heads of tasks as they lie beside an adapter: `task_heads.json`, which lists them, and `task_heads.safetensors`, with
/// their tensors in f32.
struct TaskHeadFiles {
  let heads: [TaskHead]
  let learnsTaskWeights: Bool
  let tensors: [String: HostTensor]

  static let configName = "task_heads.json"
  static let weightsName = "task_heads.safetensors"

  /// - Returns: nil if the adapter has none.
  init?(_ adapter: AdapterWeights) {
    guard !adapter.specification.heads.isEmpty else { return nil }
    heads = adapter.specification.heads
    learnsTaskWeights = adapter.specification.learnsTaskWeights
    // What GradNorm works with is the run's, but for the weights that it came to.
    tensors = adapter.heads.filter {
      $0.key.hasPrefix(TaskHead.prefix)
        && ![TaskHead.gradientsName, TaskHead.firstLossesName].contains($0.key)
    }
  }

  /// - Returns: nil if there are none in this folder.
  /// - Throws: `ModelError` if they do not fit `model`, or are incomplete or not finite.
  init?(reading folder: String, model: ModelConfiguration) throws {
    let path = folder + "/" + Self.configName
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let json = try readJSON(path: path)
    guard let items = json["heads"]?.array, !items.isEmpty else {
      throw ModelError(file: path, name: "heads", "must be a list of heads")
    }
    heads = try items.map { try TaskHead(json: $0, file: path) }
    learnsTaskWeights = json["learns_task_weights"]?.bool ?? false
    let file = try SafetensorsFile(path: folder + "/" + Self.weightsName)
    var expected = heads.flatMap { $0.tensors(of: model) }
    if learnsTaskWeights { expected.append(.init(name: TaskHead.logVariancesName, shape: [heads.count])) }
    if file.names.contains(TaskHead.weightsName) {
      expected.append(.init(name: TaskHead.weightsName, shape: [heads.count]))
    }
    var tensors: [String: HostTensor] = [:]
    for tensor in expected {
      tensors[tensor.name] = try AdapterReader.tensor(tensor.name, shape: tensor.shape, rank: nil, file: file)
    }
    if let stray = file.names.first(where: { tensors[$0] == nil }) {
      throw ModelError(file: file.path, name: "tensor \(stray)", "belongs to no head of \(Self.configName)")
    }
    self.tensors = tensors
  }

  /// The same heads always give the same bytes.
  func write(to folder: String) throws {
    var config: JSONObject = ["heads": .array(heads.map(\.json))]
    if learnsTaskWeights { config["learns_task_weights"] = true }
    try SafetensorsWriter.write(
      tensors.map { SafetensorsItem(name: $0.key, tensor: $0.value) }, to: folder + "/" + Self.weightsName)
    try AtomicFile.write(JSONValue.object(config).bytes(indent: 2), to: folder + "/" + Self.configName)
  }
}

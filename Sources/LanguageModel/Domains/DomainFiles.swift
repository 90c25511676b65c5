import Files
import Foundation
import JSON

/// What depends on domains as it lies beside an adapter: `domains.json`, which names the domains and says what that is, and
/// `domains.safetensors`, with the tensors in f32. The discriminator is of use to whoever trains on alone.
struct DomainFiles {
  let domains: Domains
  let tensors: [String: HostTensor]

  static let configName = "domains.json"
  static let weightsName = "domains.safetensors"

  /// - Returns: nil if the adapter has none.
  init?(_ adapter: AdapterWeights) {
    guard let domains = adapter.specification.domains else { return nil }
    self.domains = domains
    tensors = adapter.heads.filter { Domains.owns($0.key) }
  }

  /// - Returns: nil if there are none in this folder.
  /// - Throws: `ModelError` if they do not fit `model`, or are incomplete or not finite.
  init?(reading folder: String, model: ModelConfiguration) throws {
    let path = folder + "/" + Self.configName
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    domains = try Domains(json: try readJSON(path: path), file: path)
    let file = try SafetensorsFile(path: folder + "/" + Self.weightsName)
    var tensors: [String: HostTensor] = [:]
    for tensor in domains.tensors(of: model) {
      tensors[tensor.name] = try AdapterReader.tensor(tensor.name, shape: tensor.shape, rank: nil, file: file)
    }
    if let stray = file.names.first(where: { tensors[$0] == nil }) {
      throw ModelError(file: file.path, name: "tensor \(stray)", "belongs to no domain of \(Self.configName)")
    }
    self.tensors = tensors
  }

  /// The same adapter always gives the same bytes.
  func write(to folder: String) throws {
    try SafetensorsWriter.write(
      tensors.map { SafetensorsItem(name: $0.key, tensor: $0.value) }, to: folder + "/" + Self.weightsName)
    try AtomicFile.write(domains.json.bytes(indent: 2), to: folder + "/" + Self.configName)
  }
}

import JSON

@testable import LanguageModel

extension FuzzTarget {
  /// A whole safetensors file. A tensor that is accepted must have the bytes that its shape needs.
  static let safetensors = FuzzTarget(name: "safetensors") { safetensorsFault($0) }

  /// The header of a safetensors file, behind two bytes that give the length of the data.
  static let safetensorsHeader = FuzzTarget(name: "safetensors-header", isJSON: true) { input in
    let header = Array(input.dropFirst(2))
    let length = input.prefix(2).reduce(0) { $0 << 8 | Int($1) }
    let start = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    return safetensorsFault(start + header + [UInt8](repeating: 0x3F, count: length))
  }

  private static func safetensorsFault(_ bytes: [UInt8]) -> String? {
    ScratchFolder.with(bytes, named: "model.safetensors") { path in
      guard let file = try? SafetensorsFile(path: path) else { return nil }
      for name in file.names {
        guard file.contains(name), let shape = file.shape(of: name) else { return "\(name) has no shape" }
        guard let tensor = try? file.tensor(name) else { continue }
        guard tensor.floats().count == shape.reduce(1, *) else {
          return "\(name) has \(tensor.count) numbers and the shape \(shape)"
        }
      }
      return nil
    }
  }

  /// An adapter folder: its form, `adapter_config.json`, then the weights' header and the length of their data.
  static let adapter = FuzzTarget(name: "adapter") { input in
    var reader = InputReader(input)
    let isPEFT = reader.byte() & 1 == 1
    let config = reader.part()
    let header = reader.part()
    let length = Int(reader.byte()) | Int(reader.byte()) << 8
    guard let folder = ScratchFolder(), let model = tinyModel else { return "the check has no model" }
    let weights =
      (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header
      + [UInt8](repeating: 0x3F, count: length)
    let name = isPEFT ? AdapterForm.peftWeightsName : AdapterForm.mlxWeightsName
    guard folder.write(config, to: AdapterForm.configName) != nil, folder.write(weights, to: name) != nil
    else { return "the scratch files cannot be written" }
    guard let adapter = try? AdapterReader.read(folder: folder.path, model: model) else { return nil }
    let asked = adapter.specification.tensors(of: model)
    guard asked.allSatisfy({ adapter.tensors[$0.name]?.shape == $0.shape }) else {
      return "an adapter without the tensors of its specification was accepted"
    }
    return nil
  }

  private static let tinyModel: ModelConfiguration? = {
    let json: JSONValue = [
      "model_type": "qwen2", "vocab_size": 16, "hidden_size": 4, "intermediate_size": 6,
      "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    ]
    return try? ModelConfiguration(json: json, file: "config.json")
  }()
}

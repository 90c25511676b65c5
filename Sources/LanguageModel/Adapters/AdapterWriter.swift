import Files
import JSON

/// Writes LoRA adapters in both forms: mlx-lm's files in the folder itself, PEFT's in its folder `peft`.
public enum AdapterWriter {
  /// Writes `adapters.safetensors` and `adapter_config.json`, and the same names under `peft/` as PEFT has them.
  /// The same adapter always gives the same bytes, and everything is on the disk when this returns.
  ///
  /// - Parameters:
  ///   - base: what to name as the base model, a path or a name.
  ///   - model: the configuration of the base model. mlx-lm can adapt the last layers only, so the tensors of
  ///     layers that the adapter leaves out in between are written as zeros in that form.
  ///   - folder: is made if it is not there.
  public static func write(
    _ adapter: AdapterWeights, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    try adapter.specification.check(for: model, file: folder)
    for expected in adapter.specification.tensors(of: model) {
      guard let tensor = adapter.tensors[expected.name], tensor.shape == expected.shape else {
        throw ModelError(
          file: folder, name: "tensor \(expected.name)", "is not there, or not of shape \(expected.shape)")
      }
    }
    let peft = folder + "/" + AdapterForm.peftFolder
    try FileSystem.makeFolders(peft)
    try writeMLX(adapter, base: base, model: model, to: folder)
    try writePEFT(adapter, base: base, model: model, to: peft)
    try FileSystem.syncFolder(folder)
  }

  private static func writeMLX(
    _ adapter: AdapterWeights, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    var whole = adapter.specification
    let first = whole.layers.first ?? 0
    whole.layers = Array(first..<model.layerCount)
    let items = whole.tensors(of: model).map { expected in
      let tensor = adapter.tensors[expected.name] ?? HostTensor(zeros: expected.shape)
      let turned = expected.name.hasSuffix(".lora_a") ? tensor.transposed() : tensor
      return SafetensorsItem(name: expected.name, tensor: turned)
    }
    try SafetensorsWriter.write(items, to: folder + "/" + AdapterForm.mlxWeightsName)
    let rank = Double(whole.rank)
    let config: JSONValue = [
      "fine_tune_type": "lora",
      "model": .string(base),
      "num_layers": .number(whole.layers.count),
      "lora_parameters": [
        "rank": .number(whole.rank),
        "scale": .number(whole.useRSLoRA ? whole.alpha / rank.squareRoot() : whole.alpha / rank),
        "dropout": shortest(whole.dropout),
        "keys": .strings(whole.projections.map(\.path)),
      ],
    ]
    try AtomicFile.write(config.bytes(indent: 2), to: folder + "/" + AdapterForm.configName)
  }

  private static func writePEFT(
    _ adapter: AdapterWeights, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    let specification = adapter.specification
    let items = adapter.tensors.map { name, tensor in
      let stored = PEFTAdapterReader.storedName(name)
      return SafetensorsItem(name: stored.name, tensor: stored.transposed ? tensor.transposed() : tensor)
    }
    try SafetensorsWriter.write(items, to: folder + "/" + AdapterForm.peftWeightsName)
    // No more keys than needed: older versions of PEFT warn of those that they do not know.
    var config = JSONObject()
    config["peft_type"] = "LORA"
    config["task_type"] = "CAUSAL_LM"
    config["base_model_name_or_path"] = .string(base)
    config["inference_mode"] = true
    config["r"] = .number(specification.rank)
    config["lora_alpha"] = .number(specification.alpha)
    config["lora_dropout"] = shortest(specification.dropout)
    config["bias"] = "none"
    config["target_modules"] = .strings(specification.targetModules.sorted(by: utf8Ascending))
    if specification.useRSLoRA { config["use_rslora"] = true }
    if specification.layers.count < model.layerCount {
      config["layers_to_transform"] = .numbers(specification.layers)
    }
    try AtomicFile.write(
      JSONValue.object(config).bytes(indent: 2), to: folder + "/" + AdapterForm.configName)
  }

  /// A float in the fewest digits that read back to it: 0.1, not 0.10000000149.
  private static func shortest(_ value: Float) -> JSONValue { .number("\(value)") }
}

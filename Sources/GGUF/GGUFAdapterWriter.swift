import LanguageModel

/// Writes LoRA adapters as llama.cpp reads them (`--lora FILE`).
///
/// A [r, in] and B [out, r] of each module in f32 under `blk.0.attn_q.weight.lora_a` and `….lora_b`; for the architecture
/// `llama` the rows of B of Q and K are turned like those of the weights. llama.cpp multiplies by α/r with one α for all
/// and the r of each module, so α is s·r of the adapter, and B of a module with another s·r is scaled to it.
public enum GGUFAdapterWriter {
  /// - Parameters:
  ///   - name: `general.name`.
  ///   - path: the file; it appears whole or not at all, in place of one that is there.
  /// - Throws: ``ModelError`` if the adapter does not fit the model, or also replaces whole tensors, which such a file
  ///   cannot hold.
  public static func write(
    _ adapter: AdapterWeights, name: String, model: ModelConfiguration, to path: String
  ) throws {
    let specification = adapter.specification
    try specification.check(for: model, file: path)
    if let whole = adapter.replaced.keys.min(by: utf8Ascending) {
      throw ModelError(
        file: path, name: "tensor \(whole)",
        "is trained as a whole (modules_to_save), which a GGUF adapter cannot hold; merge it into the model with "
          + "nl-tool merge, and export that")
    }
    let alpha = Float(Double(specification.scale) * Double(specification.rank))
    var items: [GGUFItem] = []
    for expected in specification.tensors(of: model) {
      guard let tensor = adapter.tensors[expected.name], tensor.shape == expected.shape,
        let item = item(tensor, expected.name, alpha: alpha, specification, model)
      else {
        throw ModelError(
          file: path, name: "tensor \(expected.name)", "is not there, or not of shape \(expected.shape)")
      }
      items.append(item)
    }
    let metadata: [(key: String, value: GGUFEntry)] = [
      ("general.architecture", .string(model.family.ggufArchitecture)),
      ("general.type", .string("adapter")),
      ("general.name", .string(name)),
      ("general.file_type", .uint32(0)),
      ("adapter.type", .string("lora")),
      ("adapter.lora.alpha", .float32(alpha)),
    ]
    try GGUFWriter.write(metadata: metadata, items: items, to: path)
  }

  private static func item(
    _ tensor: HostTensor, _ name: String, alpha: Float, _ specification: LoRASpecification,
    _ model: ModelConfiguration
  ) -> GGUFItem? {
    let path = String(name.dropLast(".lora_a".count))
    guard let module = LoRAModule(path: path), let stored = GGUFNames.module(path) else { return nil }
    if name.hasSuffix(".lora_a") {
      return self.item(stored + ".weight.lora_a", shape: tensor.shape, values: tensor.values)
    }
    let own = Double(specification.scale(of: module)) * Double(specification.rank(of: module))
    let factor = specification.isRegular ? 1 : Float(own / Double(alpha))
    let rows = HeadRows(tensor: path + ".weight", configuration: model)
    let (rank, count) = (tensor.shape[0], tensor.shape[1])
    var values = [Float](repeating: 0, count: tensor.count)
    for row in 0..<count {
      let target = rows.place(inGGUF: row) * rank
      for r in 0..<rank { values[target + r] = tensor.values[r * count + row] * factor }
    }
    return self.item(stored + ".weight.lora_b", shape: [count, rank], values: values)
  }

  private static func item(_ name: String, shape: [Int], values: [Float]) -> GGUFItem {
    GGUFItem(name: name, shape: shape, type: .f32) { write in try values.withUnsafeBytes { try write($0) } }
  }
}

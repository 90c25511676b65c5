/// What the tensors of a PEFT file are, by their names.
///
/// A half of a pair is called `….lora_A.weight`, or `….lora_A.NAME.weight` where the adapter's name was saved with it; a
/// tensor that is trained as a whole has its name in the checkpoint, perhaps with `modules_to_save.NAME` in it.
struct PEFTTensorNames {
  /// The names in the file of our tensors, which are called `….lora_a` and `….lora_b`.
  private(set) var stored: [String: String] = [:]
  /// The names in the file of tensors that stand for those of the checkpoint, by the latter.
  private(set) var replaced: [String: String] = [:]
  /// The names in the file of the layer of scores over it all that PEFT's forms for classification have, by `weight` and
  /// `bias`.
  private(set) var score: [String: String] = [:]
  private(set) var modules = Set<LoRAModule>()
  /// Names in the file of tensors that say nothing more.
  private(set) var passedOver = Set<String>()

  init(of file: SafetensorsFile, model: ModelConfiguration) throws(ModelError) {
    for name in file.names {
      func fault(_ reason: String) -> ModelError {
        ModelError(file: file.path, name: "tensor \(name)", reason)
      }
      guard name.hasPrefix(AdapterForm.peftPrefix) else { throw fault(Self.strangeName) }
      let parts = name.dropFirst(AdapterForm.peftPrefix.count)
        .split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      if let half = Self.half(parts) {
        guard let module = LoRAModule(path: half.module), module.layer < model.layerCount else {
          throw fault(Self.strangeName)
        }
        modules.insert(module)
        let own = half.module + half.suffix
        guard stored[own] == nil else { throw fault("is there twice, as \(stored[own] ?? "") too") }
        stored[own] = name
      } else {
        // Of an embedding whose rows are more than the base model's PEFT writes what it was as well, and what it is twice.
        if parts.contains("original_module") {
          passedOver.insert(name)
          continue
        }
        let own = Self.withoutWrapper(parts).joined(separator: ".")
        if own == "score.weight" || own == "score.bias" {
          score[String(own.dropFirst("score.".count))] = name
          continue
        }
        guard model.shape(ofTensor: own) != nil else { throw fault(Self.strangeName) }
        if let other = replaced[own] {
          guard try Self.areEqual(name, other, file) else { throw fault("is there twice, as \(other) too") }
          passedOver.insert(name)
        } else {
          replaced[own] = name
        }
      }
    }
  }

  private static func areEqual(
    _ a: String, _ b: String, _ file: SafetensorsFile
  ) throws(ModelError) -> Bool {
    let (a, b) = (try file.tensor(a), try file.tensor(b))
    return a.shape == b.shape && a.dtype == b.dtype && a.bytes.elementsEqual(b.bytes)
  }

  private static let strangeName =
    "belongs to no projection of this model; expected names like "
    + "\(AdapterForm.peftPrefix)model.layers.0.self_attn.q_proj.lora_A.weight"

  private static func half(_ parts: [String]) -> (module: String, suffix: String)? {
    guard let at = parts.firstIndex(where: { $0 == "lora_A" || $0 == "lora_B" }), parts.last == "weight",
      parts.count - at == 2 || parts.count - at == 3
    else { return nil }
    return (parts[..<at].joined(separator: "."), parts[at] == "lora_A" ? ".lora_a" : ".lora_b")
  }

  private static func withoutWrapper(_ parts: [String]) -> [String] {
    guard let at = parts.firstIndex(of: "modules_to_save") else { return parts }
    // The adapter's name may stand after it, and the kind of the tensor does.
    return Array(parts[..<at] + parts[(at + 1)...].suffix(1))
  }
}

extension ModelConfiguration {
  /// The shape of a tensor of the checkpoint, or of a head of its own; nil for any other name.
  public func shape(ofTensor name: String) -> [Int]? {
    if name == WeightStore.headName { return [vocabularySize, hiddenSize] }
    return tensors.first { $0.name == name }?.shape
  }

  /// The name of the module that a tensor belongs to: `model.norm` for `model.norm.weight`.
  public static func moduleName(ofTensor name: String) -> String {
    String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
  }

  /// The tensors of the modules that a list of `modules_to_save` names by their paths or the ends of them. A head that is
  /// the embedding counts by its own name alone.
  public func tensors(ofModules names: [String]) -> [String] {
    let all = tensors.map(\.name) + (tiedEmbeddings ? [WeightStore.headName] : [])
    return all.filter { tensor in
      let module = Self.moduleName(ofTensor: tensor)
      return names.contains { module == $0 || module.hasSuffix("." + $0) }
    }.sorted(by: utf8Ascending)
  }
}

/// A LoRA adapter: what it changes, and the matrices.
///
/// Tensors are named `model.layers.{i}.self_attn.q_proj.lora_a` [r, in] and `….lora_b` [r, out], so that
/// y += s·(x·aᵀ)·b; every tensor of ``LoRASpecification/tensors(of:)`` is there, and no other.
public struct AdapterWeights: Sendable, Equatable {
  public var specification: LoRASpecification
  public var tensors: [String: HostTensor]

  public init(specification: LoRASpecification, tensors: [String: HostTensor]) {
    self.specification = specification
    self.tensors = tensors
  }
}

/// The two forms in which adapters lie on a disk, and their file names.
enum AdapterForm {
  static let configName = "adapter_config.json"
  static let mlxWeightsName = "adapters.safetensors"
  static let peftWeightsName = "adapter_model.safetensors"
  /// What PEFT writes before the name of a module.
  static let peftPrefix = "base_model.model."
  /// The folder, inside that of an adapter in mlx-lm form, of the same adapter in PEFT form.
  static let peftFolder = "peft"
}

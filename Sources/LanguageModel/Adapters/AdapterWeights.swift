/// A LoRA adapter: what it changes, and the matrices.
///
/// Tensors are named `model.layers.{i}.self_attn.q_proj.lora_a` [r, in] and `….lora_b` [r, out], so that
/// y += s·(x·aᵀ)·b; every tensor of ``LoRASpecification/tensors(of:)`` is there, and no other.
public struct AdapterWeights: Sendable, Equatable {
  public var specification: LoRASpecification
  public var tensors: [String: HostTensor]
  /// Tensors of the checkpoint that the adapter replaces as a whole (`modules_to_save`), by their names there. A head is
  /// named where it is another than the base model's, even if that has it from its embedding.
  public var replaced: [String: HostTensor]
  /// The tensors of the specification's heads, and those that depend on domains.
  public var heads: [String: HostTensor]

  public init(
    specification: LoRASpecification, tensors: [String: HostTensor], replaced: [String: HostTensor] = [:],
    heads: [String: HostTensor] = [:]
  ) {
    self.heads = heads
    self.specification = specification
    self.tensors = tensors
    self.replaced = replaced
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

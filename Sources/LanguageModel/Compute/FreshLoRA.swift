import Randomness

extension TrainableModel {
  /// A new adapter: A uniform in ±1/√in, B zero, so that it changes nothing yet.
  ///
  /// The numbers of a module depend on the seed and the module alone. ±1/√in is what PEFT draws (Kaiming uniform
  /// with a = √5).
  public static func freshLoRA(
    configuration: ModelConfiguration, specification: LoRASpecification, seed: UInt64
  ) -> [String: HostTensor] {
    var tensors: [String: HostTensor] = [:]
    for module in specification.modules {
      let (rank, projection) = (specification.rank(of: module), module.projection)
      let (inputs, outputs) = (configuration.inputSize(projection), configuration.outputSize(projection))
      let key = RandomKey(.freshAdapter, seed: seed, projection.site(layer: module.layer))
      let values = uniform(count: rank * inputs, key: key, bound: 1 / Double(inputs).squareRoot())
      tensors[module.path + ".lora_a"] = HostTensor(shape: [rank, inputs], values: values)
      tensors[module.path + ".lora_b"] = HostTensor(zeros: [rank, outputs])
    }
    return tensors
  }

  /// Multiples of bound·2⁻²³ in [−bound, bound).
  static func uniform(count: Int, key: RandomKey, bound: Double) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count + 3)
    for block in 0..<(count + 3) / 4 {
      // 32 bits of the block's number count, as they always have.
      let words = key.block(UInt64(UInt32(truncatingIfNeeded: block)))
      for i in 0..<4 { values.append(Float((Double(words[i] >> 8) * 0x1p-23 - 1) * bound)) }
    }
    values.removeLast(values.count - count)
    return values
  }
}

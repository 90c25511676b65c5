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
      let key = RandomKey.derive(.freshAdapter, seed: seed, 0, projection.site(layer: module.layer))
      let values = uniform(count: rank * inputs, key: key, bound: 1 / Double(inputs).squareRoot())
      tensors[module.path + ".lora_a"] = HostTensor(shape: [rank, inputs], values: values)
      tensors[module.path + ".lora_b"] = HostTensor(zeros: [rank, outputs])
    }
    return tensors
  }

  /// Multiples of bound·2⁻²³ in [−bound, bound).
  private static func uniform(count: Int, key: UInt64, bound: Double) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count + 3)
    for block in 0..<(count + 3) / 4 {
      for word in RandomKey.words(key: key, counter: [UInt32(truncatingIfNeeded: block), 0, 0, 0]) {
        values.append(Float((Double(word >> 8) * 0x1p-23 - 1) * bound))
      }
    }
    values.removeLast(values.count - count)
    return values
  }
}

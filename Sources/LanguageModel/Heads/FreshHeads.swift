import Randomness

extension TaskHead {
  /// What its tensors begin with: uniform in ±1/√in, biases too, as PyTorch's `nn.Linear` begins.
  ///
  /// The numbers depend on the seed and on the names of the task and the tensor alone.
  public func freshTensors(model: ModelConfiguration, seed: UInt64) -> [String: HostTensor] {
    var tensors: [String: HostTensor] = [:]
    for tensor in self.tensors(of: model) {
      let inputs =
        tensor.name.hasSuffix("dense.bias") || tensor.name.hasSuffix("dense.weight")
        ? model.hiddenSize : hiddenSize ?? model.hiddenSize
      tensors[tensor.name] = TrainableModel.freshHead(tensor, inputs: inputs, seed: seed)
    }
    return tensors
  }
}

extension TrainableModel {
  /// Uniform in ±1/√inputs, by the seed and the name alone.
  static func freshHead(
    _ tensor: ModelConfiguration.TensorShape, inputs: Int, seed: UInt64
  ) -> HostTensor {
    // FNV-1a of the name's UTF-8.
    let number = tensor.name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3
    }
    return HostTensor(
      shape: tensor.shape,
      values: uniform(
        count: tensor.shape.reduce(1, *), key: RandomKey(.freshHeads, seed: seed, 0, number),
        bound: 1 / Double(inputs).squareRoot()))
  }

  /// What a new adapter's heads begin with, and ln σ² = 0 of each where these are trained; and what depends on domains.
  public static func freshHeads(
    configuration: ModelConfiguration, specification: LoRASpecification, seed: UInt64
  ) -> [String: HostTensor] {
    var tensors: [String: HostTensor] = [:]
    for head in specification.heads {
      tensors.merge(head.freshTensors(model: configuration, seed: seed)) { first, _ in first }
    }
    if specification.learnsTaskWeights {
      tensors[TaskHead.logVariancesName] = HostTensor(zeros: [specification.heads.count])
    }
    tensors.merge(balanceTensors(configuration: configuration, specification: specification)) { $1 }
    if let domains = specification.domains {
      tensors.merge(domains.freshTensors(model: configuration, seed: seed)) { $1 }
    }
    return tensors
  }

  /// What GradNorm begins with: a weight of 1 for each task.
  public static func balanceTensors(
    configuration: ModelConfiguration, specification: LoRASpecification
  ) -> [String: HostTensor] {
    guard specification.balancesTasks else { return [:] }
    let count = specification.heads.count
    let values = specification.tensorsOfLastLayer(of: configuration).reduce(0) { $0 + $1.shape.reduce(1, *) }
    return [
      TaskHead.weightsName: HostTensor(shape: [count], values: [Float](repeating: 1, count: count)),
      TaskHead.gradientsName: HostTensor(zeros: [count, values]),
      TaskHead.firstLossesName: HostTensor(zeros: [count]),
    ]
  }
}

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
      let key = RandomKey(.freshHeads, seed: seed, 0, Self.number(of: tensor.name))
      let values = TrainableModel.uniform(
        count: tensor.shape.reduce(1, *), key: key, bound: 1 / Double(inputs).squareRoot())
      tensors[tensor.name] = HostTensor(shape: tensor.shape, values: values)
    }
    return tensors
  }

  /// FNV-1a of a name's UTF-8.
  private static func number(of name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
  }
}

extension TrainableModel {
  /// What a new adapter's heads begin with, and ln σ² = 0 of each where these are trained.
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

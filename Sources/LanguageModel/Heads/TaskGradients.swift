import Tensors

/// What enters a layer, kept of a pass for another one that begins there.
final class LayerInput {
  let layer: Int
  var tensor: Tensor?

  init(layer: Int) { self.layer = layer }
}

extension TrainableModel {
  /// For GradNorm the gradients of each task's losses, each row's times its weight and none times its task's, by the tensors
  /// of the last adapted layer: [tasks, values]. The transformer is computed once more from that layer on, for each task of
  /// the batch.
  ///
  /// - Parameter input: of that layer, in the pass whose gradients the others are.
  func taskGradients(
    _ batch: MicroBatch, input: Tensor, dropout: DropoutKey?, rowWeights: [Float]
  ) throws -> HostTensor {
    let pass = try trainingPass(batch, dropout: dropout)
    let count = tasks.ofLastLayer.reduce(0) { $0 + $1.tensor.count }
    defer {
      for parameter in tasks.ofLastLayer { parameter.gradient = nil }
      tape.clear()
    }
    var values: [Float] = []
    for (task, module) in tasks.modules.enumerated() {
      let (places, rows) = batch.places(ofTask: task)
      guard !places.isEmpty else {
        values += [Float](repeating: 0, count: count)
        continue
      }
      for parameter in tasks.ofLastLayer { parameter.gradient = Gradient(shape: parameter.tensor.shape) }
      var x = Variable(input)
      for layer in transformer.layers[tasks.lastLayer...] { x = try layer(x, pass) }
      _ = try losses(
        of: module, transformer.normed(x, places: places, pass), places: places,
        labels: places.map { batch.labels[Int($0)] },
        factors: rows.map { $0 < rowWeights.count ? rowWeights[$0] : 1 }, predicts: false, pass)
      try tape.backward()
      for parameter in tasks.ofLastLayer {
        values += parameter.gradient?.tensor?.values ?? [Float](repeating: 0, count: parameter.tensor.count)
      }
    }
    return HostTensor(shape: [tasks.modules.count, count], values: values)
  }
}

import Tensors

/// The tensors of one task's head, and how scores come of hidden states. Products with them are in f32 in every run.
struct TaskModule {
  let head: TaskHead
  let dense: (weight: Parameter, bias: Parameter)?
  /// nil of language modelling.
  let score: (weight: Parameter, bias: Parameter?)?
  /// Which module it is to dropout; none of the projections has it.
  let site: UInt32

  /// The scores [T, labels] of hidden states [T, hidden] after the last norm; nil of language modelling.
  ///
  /// - Parameter places: where each of the T is.
  func scores(
    _ hidden: Variable, places: [Int32], _ pass: ForwardPass
  ) throws(TensorError) -> Variable? {
    guard let score else { return nil }
    var x = hidden
    if let dense {
      let weight = Matrix(dense.weight.variable, inF32: true)
      x = try pass.tape.gelu(pass.tape.linear(x, weight, bias: dense.bias.variable))
    }
    if head.dropout > 0, let key = pass.headKey {
      let tokens = TokenPlaces(
        rows: places.map { pass.places.rows[Int($0)] },
        positions: places.map { pass.places.positions[Int($0)] })
      x = try pass.tape.dropout(
        x, Dropout(probability: head.dropout, key: key, site: site, tokens: tokens))
    }
    return try pass.tape.linear(
      x, Matrix(score.weight.variable, inF32: true), bias: score.bias?.variable)
  }
}

/// The heads of all tasks of a model.
struct TaskModules {
  var modules: [TaskModule] = []
  /// ln σ² of each task, where these are learned.
  var logVariances: Parameter?
  /// w of each task under GradNorm, and what carries the gradients that it compares.
  var weights: Parameter?
  var gradients: Parameter?
  /// The last adapted layer, and its tensors in UTF-8 order.
  var lastLayer = 0
  var ofLastLayer: [Parameter] = []

  var heads: [TaskHead] { modules.map(\.head) }
}

extension TransformerBuilder {
  /// The tensors of the specification's heads, zero until they are set.
  mutating func taskModules(_ specification: LoRASpecification) throws -> TaskModules {
    var tasks = TaskModules()
    for (index, head) in specification.heads.enumerated() {
      var parts: [String: Parameter] = [:]
      for tensor in head.tensors(of: loader.folder.configuration) {
        parts[tensor.name] = try fresh(tensor.name, tensor.shape)
      }
      func part(_ name: String) -> Parameter? { parts[head.tensorName(name)] }
      let dense = part("dense.weight").flatMap { weight in part("dense.bias").map { (weight, $0) } }
      tasks.modules.append(
        TaskModule(
          head: head, dense: dense, score: part("score.weight").map { ($0, part("score.bias")) },
          site: UInt32.max - UInt32(index)))
    }
    if specification.learnsTaskWeights {
      tasks.logVariances = try fresh(TaskHead.logVariancesName, [specification.heads.count])
    }
    guard specification.balancesTasks else { return tasks }
    let count = specification.heads.count
    let shapes = specification.tensorsOfLastLayer(of: loader.folder.configuration)
    tasks.weights = try fresh(TaskHead.weightsName, [count])
    tasks.gradients = try fresh(
      TaskHead.gradientsName, [count, shapes.reduce(0) { $0 + $1.shape.reduce(1, *) }])
    _ = try fresh(TaskHead.firstLossesName, [count])
    tasks.lastLayer = specification.lastLayer ?? 0
    tasks.ofLastLayer = shapes.compactMap { trained[$0.name] }
    return tasks
  }
}

import Tensors

/// A norm of hidden states, with a scale and a shift for the tokens of each domain where it adapts itself.
struct AdaptiveNorm {
  let weight: Parameter
  /// By domain; empty where it does not.
  var domains: [(scale: Parameter, shift: Parameter)] = []

  /// y = w·x/√(mean(x²) + ε), then y·scale + shift of each token's domain; tokens of no domain stay as they are.
  ///
  /// - Parameter places: where each row of x is among the pass's tokens; nil: there.
  func callAsFunction(
    _ x: Variable, epsilon: Float, places: [Int32]? = nil, _ pass: ForwardPass
  ) throws(TensorError) -> Variable {
    let y = try pass.tape.rmsNorm(x, weight: weight.variable, epsilon: epsilon)
    guard !domains.isEmpty, !pass.tokenDomains.isEmpty else { return y }
    var rows = domains.map { _ in [Int32]() }
    for row in 0..<x.shape[0] {
      let domain = Int(pass.tokenDomains[places.map { Int($0[row]) } ?? row])
      if rows.indices.contains(domain) { rows[domain].append(Int32(row)) }
    }
    return try pass.tape.scaleRows(
      y,
      zip(rows, domains).compactMap { rows, domain in
        rows.isEmpty
          ? nil : RowScaling(rows: rows, scale: domain.scale.variable, shift: domain.shift.variable)
      })
  }
}

extension TransformerBuilder {
  /// The norm of a name, without `.weight`.
  mutating func norm(_ name: String) throws -> AdaptiveNorm {
    let configuration = loader.folder.configuration
    var norm = AdaptiveNorm(weight: try vector(name + ".weight", count: configuration.hiddenSize))
    guard case .lora(let specification) = trainable, let domains = specification.domains else { return norm }
    let shapes = domains.normTensors(of: configuration).filter { $0.name.hasPrefix(name + Domains.infix) }
    for domain in shapes.isEmpty ? [] : domains.names {
      let path = name + Domains.infix + domain
      norm.domains.append(
        (
          try fresh(path + ".scale", [configuration.hiddenSize]),
          try fresh(path + ".shift", [configuration.hiddenSize])
        ))
    }
    return norm
  }
}

import Tensors

/// One projection of a layer: its weight, its bias if it has one, and its adapter if it is adapted.
struct LinearLayer {
  let weight: Weight
  let bias: Parameter?
  let adapter: Adapter?

  /// A low-rank pair with what identifies it to dropout.
  struct Adapter {
    let a: Parameter
    let b: Parameter
    /// The scale s is α/divisor.
    let alpha: Double
    let divisor: Double
    /// Layer · 7 + projection: the same whatever else is adapted.
    let site: UInt32

    func scale(times factor: Double) -> Float { Float(alpha * factor / divisor) }
  }

  func callAsFunction(_ x: Variable, _ pass: ForwardPass) throws(TensorError) -> Variable {
    try pass.tape.linear(x, weight.matrix, bias: bias?.variable, lora: lora(pass))
  }

  /// What it is in one pass, for several layers that share their input.
  func map(_ pass: ForwardPass) -> LinearMap {
    LinearMap(weight.matrix, bias: bias?.variable, lora: lora(pass))
  }

  /// The projection of silu(gate)·up.
  func gated(gate: Variable, up: Variable, _ pass: ForwardPass) throws(TensorError) -> Variable {
    try pass.tape.gatedLinear(gate: gate, up: up, weight.matrix, bias: bias?.variable, lora: lora(pass))
  }

  private func lora(_ pass: ForwardPass) -> LoRA? {
    guard pass.usesAdapters else { return nil }
    return adapter.map {
      LoRA(
        a: $0.a.variable, b: $0.b.variable, scale: $0.scale(times: pass.adapterScale),
        dropout: pass.dropout(site: $0.site))
    }
  }
}

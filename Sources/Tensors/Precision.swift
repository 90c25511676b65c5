/// How products of activations with the matrices of a model are computed: both ways, the head's among them.
///
/// Everything else is in f32 in any case: adapters, whose products are narrow, gradients of weights, attention, norms.
public enum Precision: Sendable {
  case f32
  /// Both sides rounded to bf16, sums in f32.
  case bf16
}

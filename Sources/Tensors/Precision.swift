/// How products of activations with the matrices of a model are computed: both ways, the head's among them.
///
/// Everything else is in f32 in any case: adapters, whose products are narrow, gradients of weights, attention, norms.
/// Raw values are part of the names of numeric profiles, which ledgers and messages have; so two are older than the
/// config's words for the same.
public enum Precision: String, Sendable, CaseIterable {
  case f32
  /// Both sides rounded to bf16, sums in f32, added up pair by pair as AVX512_BF16 does.
  case bf16Dot = "bf16"
  /// The same, added up 32 at a time as AMX does.
  case bf16Tiles = "amx"
  /// As exact as f32, with frozen matrices alone, by products of bf16 added up as AMX does: of three terms of an activation with a weight.
  case f32Tiles = "f32_tiles"
}

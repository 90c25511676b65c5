/// The validation loss of the adapter at a smaller scale, after training (`select_scale`).
package struct ScaleTrial: Sendable, Hashable {
  /// What the scales of LoRA pairs are multiplied by.
  package let scale: Double
  package let loss: Double
  /// Whether that is at most `scale_tolerance` more than at scale 1.
  package let holds: Bool
}

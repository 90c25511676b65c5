import Training

/// A run cannot be planned before something has been measured, and nobody has done so yet.
package struct MeasurementNeeded: Error, CustomStringConvertible {
  /// The run that measures it.
  package let plan: RunPlan

  package var description: String { "\(plan.measurement?.rawValue ?? "something") is to be measured first" }
}

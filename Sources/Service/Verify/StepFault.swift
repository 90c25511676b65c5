import JSON
import Ledger

/// Where a step's record and what this machine comes to differ first.
public struct StepFault: Sendable, Equatable {
  /// What it is that differs.
  public enum Direction: String, Sendable {
    /// A layer's output.
    case forward
    /// The loss that the forward pass ends in.
    case loss
    /// The gradient by a layer's input.
    case backward
    /// The gradient of a module's parameters.
    case gradient
    /// What a worker has added gradients up to: over a shard's micro-batches, or over the steps of a window.
    case accumulate
    /// What the coordinator has made of the workers' results.
    case reduction
    /// What an evaluation that later steps follow has found.
    case evaluation
    /// The state that was kept on the disk.
    case snapshot
    /// What the ledger says, while the step is right.
    case record
  }

  public let step: Int
  public let direction: Direction
  /// The layer or module, as in `model.layers.3.mlp.up_proj`; nil where it is of none, or not known.
  public var layer: String?
  /// Whose fault it is; nil: the coordinator's, or nobody's.
  public var worker: String?
  public var detail: String

  /// Whether a worker has computed wrongly.
  var isOfWorker: Bool {
    switch direction {
    case .forward, .loss, .backward, .gradient, .accumulate: true
    case .reduction, .evaluation, .snapshot, .record: false
    }
  }

  /// `model.layers.0.self_attn.q_proj, gradient, by worker 2 (host/4711) in term 1: micro-batches 0 to 1, tier 0`
  public var text: String {
    let subject = [layer, direction.rawValue, worker.map { "by \($0)" }].compactMap(\.self)
    return subject.joined(separator: ", ") + (detail.isEmpty ? "" : ": \(detail)")
  }

  public var json: JSONValue {
    [
      "step": .number(step), "direction": .string(direction.rawValue),
      "layer": layer.map { .string($0) } ?? nil, "worker": worker.map { .string($0) } ?? nil,
      "detail": .string(detail),
    ]
  }
}

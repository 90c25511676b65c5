import Foundation
import NestedLearning
import Service

/// What a model makes of a text for one of its tasks.
public typealias TaskPrediction = Service.TaskPrediction

/// One transformer with heads for several tasks: what each makes of a text, and how well.
///
/// ```swift
/// let model = try createMultiTaskModel(
///   "Qwen2.5-0.5B", adapter: "runs/demo/checkpoints/best")
/// for prediction in try model.predict("What a day") { print(prediction) }
/// ```
public struct MultiTaskModel {
  private let loaded: LoadedModel

  init(_ loaded: LoadedModel) { self.loaded = loaded }

  /// The names of its tasks, in their order.
  public var tasks: [String] { loaded.tasks.map(\.name) }

  /// What the tasks make of a text, in one pass through the transformer that they share.
  ///
  /// - Parameter tasks: their names; nil for all.
  /// - Throws: what is wrong with the text, or the name that no task has.
  public func predict(_ text: String, tasks: [String]? = nil) throws -> [TaskPrediction] {
    try loaded.predict(text: text, tasks: tasks)
  }

  /// Loss, accuracy and F1 of each task on a file of rows, by the task's name.
  public func evaluate(data: String) throws -> [String: TaskMetrics] {
    let evaluation = try loaded.evaluate(data: data, EvaluationOptions())
    return Dictionary(
      evaluation.tasks.map { ($0.name, $0.metrics) }, uniquingKeysWith: { first, _ in first })
  }
}

/// Loads a transformer with heads for tasks.
///
/// To train one, give a ``NestedLoRATrainer`` a config with `tasks`; what it writes is an `adapter` here.
///
/// - Parameters:
///   - folder: a model in Hugging Face's layout.
///   - tasks: that have new heads, which know nothing yet; none where the adapter brings its own.
///   - adapter: a checkpoint of a run with tasks, or an adapter of PEFT's for one (SEQ_CLS or TOKEN_CLS).
///   - seed: decides what new heads begin with.
///   - threads: that compute; nil for one a core. No bit depends on them.
/// - Throws: what is wrong with the folders, or if there are no tasks at all.
public func createMultiTaskModel(
  _ folder: String, tasks: [TaskDefinition] = [], adapter: String? = nil, seed: UInt64 = 42,
  threads: Int? = nil
) throws -> MultiTaskModel {
  guard !tasks.isEmpty || adapter != nil else {
    throw ServiceError("a model for several tasks needs some", remedy: "give tasks, or an adapter with heads")
  }
  guard tasks.isEmpty || adapter == nil else {
    throw ServiceError("an adapter has its tasks already", remedy: "leave out tasks, or the adapter")
  }
  let loaded =
    try adapter.map { try LoadedModel(folder: folder, adapter: $0, threads: threads) }
    ?? LoadedModel(folder: folder, newHeads: tasks, seed: seed, threads: threads)
  guard !loaded.tasks.isEmpty else {
    throw ServiceError(
      "the adapter in \(adapter ?? "") has no heads", remedy: "give one of a run that had tasks")
  }
  return MultiTaskModel(loaded)
}

import Synchronization

/// Lets other threads see how far a computation is, and end it between two of its steps.
///
/// The computing thread calls `step` before every layer on the way forward and before every operation on the way back;
/// that costs two loads and a store without waiting.
public final class ComputationWatch: Sendable {
  private let done = Atomic<Int>(0)
  private let isCancelled = Atomic<Bool>(false)

  public init() {}

  /// Steps begun so far; it only grows.
  public var steps: Int { done.load(ordering: .relaxed) }

  /// Ends the computation at its next step, from any thread.
  public func cancel() { isCancelled.store(true, ordering: .relaxed) }

  /// Counts a step; only for the thread that computes.
  ///
  /// - Throws: `TensorError.cancelled` once `cancel` was called.
  public func step() throws(TensorError) {
    guard !isCancelled.load(ordering: .relaxed) else { throw .cancelled }
    done.store(done.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }
}

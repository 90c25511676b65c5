import Dispatch
import Foundation

/// Whether a program is alive, and whether it is of use now: what its main loop says, and others ask from any thread.
public final class Health: @unchecked Sendable {
  /// An answer to whoever looks after the program.
  public struct Answer: Sendable, Equatable {
    public let isGood: Bool
    /// A line.
    public let reason: String
  }

  /// A main loop that has not turned for so long, in seconds, hangs. It turns twice a second even if nothing happens.
  public static let patience = 30.0
  /// As long before its first turn, in seconds: digesting a model of hundreds of gigabytes comes before it.
  public static let startingPatience = 3600.0

  private let lock = NSLock()
  private let started = DispatchTime.now()
  /// Nil before the first turn.
  private var turned: DispatchTime?
  private var present = Answer(isGood: false, reason: "starting")

  public init() {}

  /// The main loop has turned once more.
  public func turn() { lock.withLock { turned = .now() } }

  /// From now on the program can do its work.
  public func ready(_ reason: String) { set(Answer(isGood: true, reason: reason)) }

  /// It cannot now, though it may be well.
  public func notReady(_ reason: String) { set(Answer(isGood: false, reason: reason)) }

  private func set(_ answer: Answer) { lock.withLock { present = answer } }

  /// Whether the main loop turns, or may not have begun to; a program of which this is not so is best started again.
  public var liveness: Answer { liveness(at: .now()) }

  func liveness(at now: DispatchTime) -> Answer {
    let turned = lock.withLock { self.turned }
    let seconds = Double(now.uptimeNanoseconds - (turned ?? started).uptimeNanoseconds) / 1e9
    if turned == nil {
      return seconds > Self.startingPatience
        ? Answer(isGood: false, reason: "it has not started within \(Int(seconds)) s")
        : Answer(isGood: true, reason: "starting")
    }
    return seconds > Self.patience
      ? Answer(isGood: false, reason: "the main loop has not turned for \(Int(seconds)) s")
      : Answer(isGood: true, reason: "alive")
  }

  /// Whether the program can do its work now, as it said last.
  public var readiness: Answer { lock.withLock { present } }
}

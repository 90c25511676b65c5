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

  private let lock = NSLock()
  private var turned = DispatchTime.now()
  private var readiness = Answer(isGood: false, reason: "starting")

  public init() {}

  /// The main loop has turned once more.
  public func turn() { lock.withLock { turned = .now() } }

  /// From now on the program can do its work.
  public func ready(_ reason: String) { set(Answer(isGood: true, reason: reason)) }

  /// It cannot now, though it may be well.
  public func notReady(_ reason: String) { set(Answer(isGood: false, reason: reason)) }

  private func set(_ answer: Answer) { lock.withLock { readiness = answer } }

  /// Whether the main loop turns; a program of which this is not so is best started again.
  public var liveness: Answer {
    let turned = lock.withLock { self.turned }
    let seconds = Double(DispatchTime.now().uptimeNanoseconds - turned.uptimeNanoseconds) / 1e9
    guard seconds > Self.patience else { return Answer(isGood: true, reason: "alive") }
    return Answer(isGood: false, reason: "the main loop has not turned for \(Int(seconds)) s")
  }

  public var isReady: Answer { lock.withLock { readiness } }
}

import Foundation
import Service

/// Canned workers, each on a thread of its own. No answer is given before all of them can take work, so that every step
/// from the second on is everybody's.
final class CannedFleet: @unchecked Sendable {
  let answers = CannedAnswers()
  let marks: StepMarks
  private let count: Int
  private let lock = NSLock()
  private var numbersAdmitted = Set<Int>()
  private var ended = 0
  private var mustStop = false
  private var firstFailure: (any Error)?
  private var losses: [String] = []

  init(count: Int, marks: StepMarks) {
    self.count = count
    self.marks = marks
  }

  /// - Parameter endpoint: where the coordinator listens.
  func start(endpoint: String) {
    for number in 0..<count {
      Thread {
        do {
          try CannedWorker(number: number, endpoint: endpoint, fleet: self).run()
          self.end(nil)
        } catch { self.end(error) }
      }
      .start()
    }
  }

  /// Every worker has shown that its arithmetic is right.
  var isComplete: Bool { lock.withLock { numbersAdmitted.count == count } }
  var isStopped: Bool { lock.withLock { mustStop } }
  var hasEnded: Bool { lock.withLock { ended == count } }
  var failure: (any Error)? { lock.withLock { firstFailure } }
  /// Why workers had to join again, for each time that one had to.
  var lostSessions: [String] { lock.withLock { losses } }

  func admitted(_ number: Int) { lock.withLock { _ = numbersAdmitted.insert(number) } }
  func lostSession(_ reason: String) { lock.withLock { losses.append(reason) } }

  private func end(_ failure: (any Error)?) {
    lock.withLock {
      ended += 1
      firstFailure = firstFailure ?? failure
    }
  }

  /// Has all workers end at their next turn.
  func stop() { lock.withLock { mustStop = true } }
}

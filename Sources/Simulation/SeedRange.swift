import Dispatch
import Foundation

/// Many seeds, on several threads.
public struct SeedRange: Sendable {
  public var seeds: ClosedRange<UInt64>
  public var threads: Int
  /// Whether all runs have real files.
  public var withFiles: Bool

  public init(_ seeds: ClosedRange<UInt64>, threads: Int = 1, withFiles: Bool = false) {
    self.seeds = seeds
    self.threads = threads
    self.withFiles = withFiles
  }

  /// Runs all seeds. What it comes to is the same for any number of threads.
  ///
  /// - Parameter onFailure: called at once for every run that fails, from any thread.
  public func run(onFailure: @escaping @Sendable (Outcome) -> Void = { _ in }) -> Summary {
    let queue = Seeds(seeds)
    let total = Total()
    DispatchQueue.concurrentPerform(iterations: max(1, threads)) { _ in
      var summary = Summary()
      while let seed = queue.next() {
        let outcome = Self.run(seed: seed, withFiles: withFiles)
        if !outcome.succeeded { onFailure(outcome) }
        summary.add(outcome)
      }
      total.merge(summary)
    }
    return total.summary
  }

  /// Runs one seed; an error on the way is a problem of the run.
  public static func run(
    seed: UInt64, withFiles: Bool = false, trace: ((String) -> Void)? = nil
  ) -> Outcome {
    do {
      return try Simulation(Scenario(seed: seed, withFiles: withFiles), trace: trace).run()
    } catch {
      var outcome = Outcome(seed: seed)
      outcome.problems.append("\(error)")
      return outcome
    }
  }
}

/// Seeds that are yet to be run.
private final class Seeds: @unchecked Sendable {
  private let lock = NSLock()
  private var left: ClosedRange<UInt64>?

  init(_ seeds: ClosedRange<UInt64>) { left = seeds }

  func next() -> UInt64? {
    lock.withLock {
      guard let range = left else { return nil }
      left = range.lowerBound < range.upperBound ? (range.lowerBound + 1)...range.upperBound : nil
      return range.lowerBound
    }
  }
}

private final class Total: @unchecked Sendable {
  private let lock = NSLock()
  private var sum = Summary()

  var summary: Summary { lock.withLock { sum } }
  func merge(_ other: Summary) { lock.withLock { sum.merge(other) } }
}

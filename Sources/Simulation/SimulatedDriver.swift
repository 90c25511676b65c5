import Coordination
import Service
import Training
import WireProtocol

/// A run in a coordinator process: its core, and what RunDriver holds beside it.
final class SimulatedDriver {
  let run: SimulatedRun
  let term: UInt64
  var core: RunCore
  /// Nil until the state has been restored.
  var engine: StepEngine?
  /// Counts the timers that were set.
  var timer = 0
  /// When all that was given to the queue beside the loop is done.
  var queueIsFree = Instant.zero

  /// A worker as it joined: what it said, and as whom the fleet knows it.
  struct Member {
    let hello: Hello
    let identity: String
  }

  /// By number in the run.
  var members: [Int: Member] = [:]
  /// Results that the fleet said to keep, by attempt.
  var kept = KeptResults()
  var recorded = Set<Int>()
  /// What each attempt was for.
  var units: [Int: WorkUnit] = [:]
  var watch = RunWatch()
  /// Workers that are given the base model, and whether anything of it is being read.
  var modelTurns = ModelTurns()
  var isServing = false
  /// Whether the workers were let go in order.
  var isDrained = false

  init(_ run: SimulatedRun, term: UInt64, core: RunCore) {
    self.run = run
    self.term = term
    self.core = core
  }

  var number: RunNumber { run.number }
  /// What all messages about the run bear.
  var work: RunTerm { RunTerm(number, term: term) }
}

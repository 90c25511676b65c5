import Ledger
import Training

extension RunEnding {
  var outcome: RunOutcome {
    switch self {
    case .completed: .completed(reason: "all steps are done")
    case .stoppedEarly: .completed(reason: "the validation loss no longer fell")
    case .stopped: .stopped(reason: "by the user")
    case .failed(let error): .failed(reason: "\(error)")
    }
  }

  /// - Parameter isStartedAgain: the run was begun by a command that also goes on with it
  func lastWords(folder: String, isStartedAgain: Bool) -> String {
    switch self {
    case .completed: "Done: \(folder)/checkpoints/final"
    case .stoppedEarly: "Done early, as the validation loss no longer fell: \(folder)/checkpoints/best"
    case .stopped where isStartedAgain: "Stopped; go on with the same command"
    case .stopped:
      "Stopped; go on with the same command and --or-resume, or with: nl-coord resume \(folder)"
    case .failed(let error): "\(error)"
    }
  }
}

/// A run of a queue that an earlier process has finished.
struct FinishedRun: Error {
  let reason: String
}

extension RunEnd {
  func lastWords(_ ending: RunEnding, isStartedAgain: Bool) -> String {
    guard isMeasurement else { return ending.lastWords(folder: folder, isStartedAgain: isStartedAgain) }
    return "Stopped before training began: the same command measures anew"
  }

  var hasFailed: Bool {
    if case .failure(let error) = result { !(error is FinishedRun) } else { false }
  }
}

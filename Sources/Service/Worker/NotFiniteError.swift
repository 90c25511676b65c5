import WireProtocol

/// A micro-batch has come to a number that is not finite. The words are the same on every worker that comes to the same.
struct NotFiniteError: Error, CustomStringConvertible {
  let description: String

  init(_ message: AssignMessage, _ microBatch: Int, _ what: String) {
    let unit = message.purpose == .evaluate ? "the evaluation after step" : "step"
    description = "\(what) of micro-batch \(microBatch) of \(unit) \(message.step) is not finite"
  }
}

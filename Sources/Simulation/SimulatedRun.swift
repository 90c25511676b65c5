import WireProtocol

/// A run of a scenario, whichever coordinator processes are at it: what it must come to, and what is written of it.
final class SimulatedRun {
  let number: RunNumber
  let problem: ToyProblem
  let reference: Reference
  var disk = SimulatedDisk()
  /// The real files of the run; nil if it has none. `disk` is what they must hold then.
  let store: SimulatedStore?
  /// The files of its base model; nil if all workers have them.
  let toyModel: ToyModel?
  /// Hand-outs whose results say or bring something wrong.
  var lies = Set<SimulatedDisk.Row.Key>()
  /// Whether it has come to its end.
  var isDone = false
  /// SHA-256 of its final state.
  var digest = ""

  init(_ number: RunNumber, _ problem: ToyProblem, seed: UInt64, hasStore: Bool, isFetched: Bool) throws {
    self.number = number
    self.problem = problem
    reference = try Reference(problem)
    let own = number.value == 1 ? seed : SplitMix64.mix(seed &+ UInt64(number.value))
    toyModel = isFetched ? ToyModel(seed: own) : nil
    store = hasStore ? try SimulatedStore(seed: own, problem: problem) : nil
  }

  /// What its workers know it by, in every term.
  var name: String { number.value == 1 ? "simulated" : "simulated \(number.value)" }

  /// The digest of its base model.
  var model: String { toyModel?.offer.modelSHA256 ?? Self.model(of: number) }

  static func model(of number: RunNumber) -> String {
    String(repeating: ["a", "b", "c", "d"][Int(number.value - 1) % 4], count: 64)
  }
}

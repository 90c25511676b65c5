import Files
import NestedLearning
import Service

/// A toy problem as the store of a run sees it.
struct ToyContents: RunContents {
  let problem: ToyProblem

  var config: NestedLearningConfig { problem.config }
  var scheduler: ParameterTierScheduler { problem.scheduler }
  var shapes: [String: [Int]] { problem.shapes }
  var initialValues: [String: [Float]] { problem.initialValues }
  var numericProfile: String { "toy" }
  var rowsCut: (train: RowsCut, validation: RowsCut) { (RowsCut(), RowsCut()) }

  func epoch(after step: Int) -> Int { 0 }

  static let file = "parameters.bin"

  func write(parameters: [String: [Float]], scale: Double, to folder: String) throws {
    try AtomicFile.write(Self.bytes(of: parameters), to: folder + "/" + Self.file)
  }

  /// All values, by the names of the parameters.
  static func bytes(of parameters: [String: [Float]]) -> [UInt8] {
    parameters.sorted { $0.key < $1.key }.flatMap { entry in
      entry.value.withUnsafeBytes { Array($0) }
    }
  }
}

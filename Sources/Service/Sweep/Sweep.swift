import Files
import JSON
import NestedLearning

/// The runs of a grid, on one coordinator's queue. Called again, it goes on: runs that are finished stay as they are, and
/// one that was interrupted goes on from where it was.
public struct Sweep {
  struct Run {
    let values: SweepGrid.Combination
    let config: NestedLearningConfig

    var folder: String { "\(config.outputPath)/\(config.experimentName)" }
  }

  /// The folder that the runs' folders are in, and the sweep's own files: `sweep.html` and `sweep.json`.
  public let folder: String
  let grid: SweepGrid
  let runs: [Run]

  /// - Parameters:
  ///   - file: the config that all have in common; nil for flags alone.
  ///   - overrides: values given as flags, which win over the file; the grid's win over both.
  /// - Throws: `ConfigError` of the first combination that is no config, before anything is trained.
  public init(file: String?, overrides: [(key: String, value: JSONValue)], grid: SweepGrid) throws {
    self.grid = grid
    let common = try RunConfig.read(file: file, overrides: overrides)
    folder = "\(common.outputPath)/\(common.experimentName)-sweep"
    var taken: [String: Int] = [:]
    var runs: [Run] = []
    for values in grid.combinations {
      let keys = Set(values.map(\.key))
      var config = try RunConfig.read(
        file: file, overrides: overrides.filter { !keys.contains($0.key) } + values)
      let name = String(SweepGrid.name(of: values).prefix(180))
      let number = taken[name, default: 0] + 1
      taken[name] = number
      config.experimentName = name.isEmpty ? common.experimentName : number == 1 ? name : "\(name)-\(number)"
      config.outputPath = folder
      runs.append(Run(values: values, config: config))
    }
    self.runs = runs
  }

  /// Trains what is not trained yet, and then tells of all runs, also if some failed.
  ///
  /// - Throws: what no run can go on from, or, at the end, which runs failed.
  public func train(options: RunOptions) throws {
    let result = Result {
      try CoordinatorProcess.train(
        queue: runs.map { ($0.config.experimentName, $0.config) }, options: options, orResume: true)
    }
    try SweepReport(self).write()
    try result.get()
  }
}

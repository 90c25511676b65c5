import ArgumentParser
import Service

/// New places of what a run was started from.
public struct MovedFlags: ParsableArguments {
  @Option(help: ArgumentHelp("The folder of the base model.", valueName: "path")) var baseModelPath: String?
  @Option(help: ArgumentHelp("The training data.", valueName: "path")) var trainDataPath: String?
  @Option(help: ArgumentHelp("The validation data.", valueName: "path")) var valDataPath: String?
  @Option(help: ArgumentHelp("The folder of the adapter that training started from.", valueName: "path"))
  var adapterPath: String?
  @Option(
    help: ArgumentHelp(
      "A file or folder that lies elsewhere now, whatever names it: data of stages, data to rehearse, a whole folder of "
        + "inputs. May be given several times.", valueName: "old=new"),
    transform: Self.move) var moved: [RunPaths.Move] = []

  public init() {}

  private static func move(_ text: String) throws -> RunPaths.Move {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts.contains("") else {
      throw ValidationError("\"\(text)\" must be the old path, =, and the new path")
    }
    return RunPaths.Move(from: parts[0], to: parts[1])
  }

  public var paths: RunPaths {
    RunPaths(
      [
        "base_model_path": baseModelPath, "train_data_path": trainDataPath, "val_data_path": valDataPath,
        "adapter_path": adapterPath,
      ], moves: moved)
  }
}

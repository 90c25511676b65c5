import ArgumentParser
import Service

/// New places of what a run was started from.
public struct MovedFlags: ParsableArguments {
  @Option(help: ArgumentHelp("The folder of the base model.", valueName: "path")) var baseModelPath: String?
  @Option(help: ArgumentHelp("The training data.", valueName: "path")) var trainDataPath: String?
  @Option(help: ArgumentHelp("The validation data.", valueName: "path")) var valDataPath: String?
  @Option(help: ArgumentHelp("The folder of the adapter that training started from.", valueName: "path"))
  var adapterPath: String?

  public init() {}

  public var paths: RunPaths {
    RunPaths([
      "base_model_path": baseModelPath, "train_data_path": trainDataPath, "val_data_path": valDataPath,
      "adapter_path": adapterPath,
    ])
  }
}

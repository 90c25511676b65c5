import Foundation
import LanguageModel
import NestedLearning
import Tensors

/// What of a model a run trains, and in which tiers: read and checked without any data.
struct TrainedModel {
  /// With a loaded adapter's rank, scale and modules in it, and no longer rows than the model has positions.
  let config: NestedLearningConfig
  let folder: ModelFolder
  let newTokens: NewTokens
  let trainable: Trainable
  /// As if what begins to learn by epochs did so at once: how many steps an epoch has, the data say.
  let scheduler: ParameterTierScheduler
  private let importance: [String: Double]?
  private let model: TrainableModel
  private let start: StartingPoint

  /// - Parameter importance: of each module, where the strategy asks for it.
  /// - Throws: what is wrong, with file, line and key where there is one.
  init(config given: NestedLearningConfig, importance: [String: Double]? = nil) throws {
    let base = try ModelFolder(path: given.baseModelPath)
    let requested = try Self.withinPositions(given, base.configuration.maxPositions)
    newTokens = try NewTokens(requested.addTokens, adapter: requested.adapterPath, folder: base)
    start = try StartingPoint(config: requested, model: newTokens.folder)
    config = start.config
    trainable = start.trainable
    folder = try newTokens.folder.grown(
      to: start.vocabularyRows ?? newTokens.folder.configuration.vocabularySize)
    model = try TrainableModel(
      folder: folder, trainable: trainable,
      pool: ThreadPool(threads: ProcessInfo.processInfo.activeProcessorCount))
    self.importance = importance
    scheduler = try Self.scheduler(config, model, importance, epochStart: nil)
  }

  /// - Parameter epochStart: the first step after so many epochs.
  func scheduler(epochStart: (Int) -> Int) throws -> ParameterTierScheduler {
    guard config.unfreezesByEpoch else { return scheduler }
    return try withoutActuallyEscaping(epochStart) {
      try Self.scheduler(config, model, importance, epochStart: $0)
    }
  }

  private static func scheduler(
    _ config: NestedLearningConfig, _ model: TrainableModel, _ importance: [String: Double]?,
    epochStart: ((Int) -> Int)?
  ) throws -> ParameterTierScheduler {
    try ParameterTierScheduler(
      config: config,
      parameters: model.parameters.map {
        TrainableParameter(name: $0.name, module: $0.module, layer: $0.layer, count: $0.shape.reduce(1, *))
      }, importance: importance, layerCount: model.configuration.layerCount, epochStart: epochStart)
  }

  /// Sorted by the UTF-8 bytes of their names.
  var parameters: [ParameterInfo] { model.parameters }

  /// What training starts from, by parameter: the loaded or fresh adapter, or the model's own weights.
  func initialValues() throws -> [String: [Float]] {
    try Dictionary(
      uniqueKeysWithValues: model.parameters.map { parameter in
        if let values = start.values[parameter.name]?.values { return (parameter.name, values) }
        let values = try model.parameterValues(parameter.name)
        let hasTokenRows = [WeightStore.embeddingName, WeightStore.headName].contains(parameter.name)
        return (parameter.name, hasTokenRows ? newTokens.withMeanRows(values) : values.values)
      })
  }

  /// A length that nobody asked for is no longer than the model has positions; one that was given must not be.
  private static func withinPositions(
    _ config: NestedLearningConfig, _ positions: Int
  ) throws(ConfigError) -> NestedLearningConfig {
    guard config.maxSeqLength > positions else { return config }
    guard !config.explicitKeys.contains("max_seq_length") else {
      throw ConfigError(
        file: "config", key: "max_seq_length",
        reason:
          "is \(config.maxSeqLength), but the model in \(config.baseModelPath) has \(positions) positions "
          + "(max_position_embeddings)", remedy: "set it to \(positions) or less")
    }
    var config = config
    config.maxSeqLength = positions
    return config
  }
}

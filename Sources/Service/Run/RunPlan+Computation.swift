import Files
import LanguageModel
import NestedLearning
import Tensors
import Training

/// What computes a run in one process, without coordinator and workers.
extension RunPlan {
  /// The key of dropout masks; nil without dropout.
  package var dropoutSeed: UInt64? { usesDropout ? config.seed : nil }

  /// The model as a worker has it, with the values that training starts from.
  package func model(threads: Int) throws -> TrainableModel {
    let model = try TrainableModel(
      folder: folder, trainable: trainable, pool: ThreadPool(threads: threads), scansForNonFinite: false,
      precision: precision, recomputesLayers: config.activationCheckpointing == .layer)
    for (name, values) in initialValues {
      try values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    return model
  }

  /// Makes the run's folder with its config.json, for checkpoints alone.
  ///
  /// - Throws: `RunFolderError.exists` if there is anything of that name.
  package func makeOutputFolder() throws {
    guard FileSystem.kind(outputFolder) == nil else { throw RunFolderError.exists(path: outputFolder) }
    try FileSystem.makeFolders(outputFolder + "/checkpoints")
    try AtomicFile.write(recordedConfig.bytes(indent: 2), to: outputFolder + "/config.json")
  }

  /// Writes a checkpoint, and deletes those of steps that are no longer kept.
  ///
  /// - Returns: its folder; nil if the config leaves this kind out.
  package func writeCheckpoint(
    _ kind: CheckpointKind, of state: NestedTrainerState, progress: RunProgress
  ) throws -> String? {
    let writer = CheckpointWriter(
      folder: outputFolder + "/checkpoints", keepLast: config.keepLastNCheckpoints,
      saveBestOnly: config.saveBestOnly)
    let metadata = CheckpointMetadata(kind, of: state, plan: self, progress: progress)
    let path = try writer.write(kind, metadata: metadata) { try write(parameters: state.published, to: $0) }
    _ = try writer.prune()
    return path
  }
}

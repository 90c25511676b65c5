import Files

/// Writes a whole model folder out of trained weights, as `trainable: full` does for its checkpoints.
public enum CheckpointModelWriter {
  /// Writes `config.json`, `model.safetensors` and the files of the base model that say how it is used (tokenizer,
  /// chat template, generation settings). Tensors that the configuration has no place for are taken over as they are.
  /// `config.json` is normalized; see ``ModelConfiguration/json()``. Everything
  /// is on the disk when this returns; a folder that must appear as one is to be written beside its name and renamed.
  ///
  /// - Parameters:
  ///   - tensors: every tensor of the configuration under its name in the checkpoint.
  ///   - dtype: f32, or bf16, to which the weights are then rounded.
  ///   - folder: is made if it is not there.
  /// - Throws: ``ModelError`` if a tensor is missing, left over or of another shape; `FileError` if a file
  ///   cannot be written.
  public static func write(
    _ tensors: [String: HostTensor], base: ModelFolder, as dtype: WrittenType = .f32, to folder: String
  ) throws {
    let expected = base.configuration.tensors
    for tensor in expected where tensors[tensor.name]?.shape != tensor.shape {
      throw ModelError(
        file: folder, name: "tensor \(tensor.name)", "is missing, or not of the shape \(tensor.shape)")
    }
    guard tensors.count == expected.count else {
      let known = Set(expected.map(\.name))
      let stray = tensors.keys.filter { !known.contains($0) }.min(by: utf8Ascending) ?? ""
      throw ModelError(file: folder, name: "tensor \(stray)", "is not a tensor of this model")
    }
    try FileSystem.makeFolders(folder)
    let leftOut = try base.leftOut.compactMap { name in
      try base.weights.contains(name) ? base.weights.tensor(name) : nil
    }
    try SafetensorsWriter.write(
      tensors.map { SafetensorsItem(name: $0.key, tensor: $0.value, as: dtype) }
        + leftOut.map { SafetensorsItem(name: $0.name, shape: $0.shape, dtype: $0.dtype, bytes: $0.bytes) },
      to: folder + "/" + WeightStore.singleName)
    var configuration = base.configuration
    configuration.dtype = dtype.stored.configName
    try AtomicFile.write(configuration.json().bytes(indent: 2), to: folder + "/config.json")
    try ModelFolder.copyCompanions(from: base.path, to: folder)
    try FileSystem.syncFolder(folder)
  }
}

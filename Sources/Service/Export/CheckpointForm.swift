/// What a checkpoint can be taken along as, where that is to be made first.
public enum CheckpointForm: String, Sendable, CaseIterable {
  /// The adapter as a GGUF file, which llama.cpp takes beside its model.
  case gguf
  /// The whole model, base and adapter together, as a folder that loads wherever the base model does.
  case merged
  /// The same as a GGUF file.
  case mergedGGUF = "merged_gguf"

  /// Whether what is made is a folder.
  public var isFolder: Bool { self == .merged }

  /// How often a base model is written on the way.
  var modelCopies: Int {
    switch self {
    case .gguf: 0
    case .merged: 1
    case .mergedGGUF: 2
    }
  }
}

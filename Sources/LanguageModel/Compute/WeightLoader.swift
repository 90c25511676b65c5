import Kernels
import Tensors

/// Takes tensors out of a model folder: big matrices stay where they are mapped, in their own precision; what is
/// small or trained becomes f32 in memory.
struct WeightLoader {
  let folder: ModelFolder
  let memory: MemoryPool
  let threads: ThreadPool
  /// Whether to look at every number once and refuse NaN and infinities.
  let scansForNonFinite: Bool
  /// Tensors that stand for those of the folder, by name.
  var replaced: [String: HostTensor] = [:]

  /// A frozen matrix [rows, columns], as it is stored.
  func matrix(_ name: String, shape: [Int]) throws -> Matrix {
    guard replaced[name] == nil else {
      return Matrix(Variable(try tensor(name, shape: shape)), isFrozen: true)
    }
    return try stored(name, shape: shape)
  }

  /// The folder's own, whatever stands for it.
  func stored(_ name: String, shape: [Int]) throws -> Matrix {
    let stored: StoredTensor = try self.stored(name, shape: shape)
    guard let start = stored.bytes.baseAddress else {
      return Matrix(Variable(try widened(stored)), isFrozen: true)
    }
    return Matrix(
      frozen: start, type: stored.dtype.ofMatrix, rows: shape[0], columns: shape[1],
      owner: StoredTensorOwner(stored))
  }

  /// The numbers as f32 in memory that may be written.
  func tensor(_ name: String, shape: [Int]) throws -> Tensor {
    guard let replaced = replaced[name] else {
      if let grown = try grown(name, shape: shape) { return grown }
      let stored: StoredTensor = try stored(name, shape: shape)
      return try widened(stored)
    }
    guard replaced.shape == shape else {
      throw ModelError(
        file: folder.path, name: "tensor \(name)",
        "is replaced by one of the shape \(replaced.shape), not \(shape)")
    }
    let tensor = try memory.tensor(shape)
    tensor.withMutableValues { values in
      replaced.values.withUnsafeBufferPointer { _ = values.update(from: $0) }
    }
    return tensor
  }

  /// An embedding or a head with zeros in the rows of tokens that were added; nil for other tensors.
  private func grown(_ name: String, shape: [Int]) throws -> Tensor? {
    guard folder.addedRows > 0, [WeightStore.embeddingName, WeightStore.headName].contains(name),
      let rows = shape.first
    else { return nil }
    let base = try widened(try stored(name, shape: [rows - folder.addedRows] + shape.dropFirst()))
    let tensor = try memory.zeros(shape)
    tensor.withMutableValues { target in
      base.values.withUnsafeBufferPointer { source in
        for i in 0..<min(source.count, target.count) { target[i] = source[i] }
      }
    }
    return tensor
  }

  private func stored(_ name: String, shape: [Int]) throws -> StoredTensor {
    let stored = try folder.weights.tensor(name, shape: shape)
    let bad = scansForNonFinite ? nonFiniteCount(stored) : 0
    guard bad == 0 else {
      throw ModelError(
        file: folder.weights.file(of: name), name: "tensor \(name)",
        "\(bad) of its \(stored.count) numbers are NaN or infinite; such a model cannot be trained")
    }
    return stored
  }

  private func nonFiniteCount(_ stored: StoredTensor) -> Int {
    guard let start = stored.bytes.baseAddress else { return 0 }
    return withExtendedLifetime(stored) {
      nl_count_nonfinite(threads.handle, stored.count, start, stored.dtype.ofMatrix.kernelType)
    }
  }

  private func widened(_ stored: StoredTensor) throws(TensorError) -> Tensor {
    let tensor = try memory.tensor(stored.shape)
    tensor.withMutableValues { values in
      guard let start = stored.bytes.baseAddress, let target = values.baseAddress else { return }
      withExtendedLifetime(stored) {
        let halves = start.assumingMemoryBound(to: UInt16.self)
        switch stored.dtype {
        case .f32: UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: values.count * 4)
        case .bf16: nl_bf16_to_f32(threads.handle, values.count, halves, target)
        case .f16: nl_f16_to_f32(threads.handle, values.count, halves, target)
        }
      }
    }
    return tensor
  }
}

/// Keeps a mapped tensor's memory valid for a `Matrix`.
private final class StoredTensorOwner {
  private let tensor: StoredTensor

  init(_ tensor: StoredTensor) { self.tensor = tensor }
}

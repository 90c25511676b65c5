import Tensors

/// The keys and values of all tokens so far, per layer [capacity, kvHeads, dim], for generating token by token.
final class KeyValueCache: AttentionCache {
  private(set) var capacity: Int
  /// Tokens whose keys and values are in the cache.
  private(set) var count = 0
  private var keys: [Tensor]
  private var values: [Tensor]
  private let memory: MemoryPool

  init(configuration: ModelConfiguration, capacity: Int, memory: MemoryPool) throws(TensorError) {
    self.capacity = capacity
    self.memory = memory
    let shape = [capacity, configuration.keyValueHeadCount, configuration.headDimension]
    var tensors: [Tensor] = []
    for _ in 0..<2 * configuration.layerCount { tensors.append(try memory.tensor(shape)) }
    keys = Array(tensors.prefix(configuration.layerCount))
    values = Array(tensors.suffix(configuration.layerCount))
  }

  /// Appends the rotated keys and the values of new tokens in one layer and returns all of that layer.
  func append(layer: Int, keys newKeys: Tensor, values newValues: Tensor) -> (
    keys: Variable, values: Variable
  ) {
    copy(newKeys, to: keys[layer])
    copy(newValues, to: values[layer])
    return (Variable(keys[layer]), Variable(values[layer]))
  }

  func keyOffsets(adding tokens: Int) -> [Int32] { [0, Int32(count + tokens)] }

  /// Call it when all layers have appended so many tokens.
  func advance(by tokens: Int) { count += tokens }

  /// Forgets all tokens but the first.
  func truncate(to tokens: Int) { count = min(count, max(0, tokens)) }

  /// Makes room for so many tokens, and for half as many again as there was room for.
  func reserve(_ tokens: Int) throws(TensorError) {
    guard tokens > capacity else { return }
    let grown = max(tokens, capacity + capacity / 2)
    // All new tensors before any is put in place, so that an error changes nothing.
    let newKeys = try keys.map { (old) throws(TensorError) in try copy(of: old, capacity: grown) }
    values = try values.map { (old) throws(TensorError) in try copy(of: old, capacity: grown) }
    keys = newKeys
    capacity = grown
  }

  private func copy(of old: Tensor, capacity grown: Int) throws(TensorError) -> Tensor {
    let new = try memory.tensor([grown] + old.shape.dropFirst())
    let kept = count * (old.count / max(capacity, 1))
    old.withValues { old in
      new.withMutableValues { new in
        _ = UnsafeMutableBufferPointer(rebasing: new[..<kept]).update(from: old[..<kept])
      }
    }
    return new
  }

  private func copy(_ new: Tensor, to all: Tensor) {
    let start = count * (all.count / max(capacity, 1))
    precondition(start + new.count <= all.count, "a cache of \(capacity) tokens is full")
    new.withValues { new in
      all.withMutableValues { all in
        _ = UnsafeMutableBufferPointer(rebasing: all[start..<start + new.count]).update(from: new)
      }
    }
  }
}

import Tensors

/// The keys and values of all tokens so far, per layer [capacity, kvHeads, dim], for generating token by token.
final class KeyValueCache {
  let capacity: Int
  /// Tokens whose keys and values are in the cache.
  private(set) var count = 0
  private let keys: [Tensor]
  private let values: [Tensor]

  init(configuration: ModelConfiguration, capacity: Int, memory: MemoryPool) throws(TensorError) {
    self.capacity = capacity
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

  /// Call it when all layers have appended so many tokens.
  func advance(by tokens: Int) { count += tokens }

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

import Tensors

/// Where the keys and values of earlier tokens are when a pass goes on from them.
protocol AttentionCache: AnyObject {
  /// Appends the rotated keys and the values of new tokens in one layer and returns all of that layer.
  func append(
    layer: Int, keys: Tensor, values: Tensor
  ) throws(TensorError) -> (keys: Variable, values: Variable)
  /// Where each sequence's keys begin, and the end of the last, once so many tokens of all sequences have been appended.
  func keyOffsets(adding tokens: Int) -> [Int32]
}

/// The keys and values of several sequences of one length, which grow together, for writing many texts at once.
final class BatchCache: AttentionCache {
  /// Tokens of each sequence.
  private(set) var length = 0
  /// Sequences that are written.
  private(set) var sequences: Int
  private let capacity: Int
  private let memory: MemoryPool
  /// Per layer [sequences, capacity, kvHeads·dim].
  private var keys: [Tensor] = []
  private var values: [Tensor] = []
  private let width: Int
  private let heads: [Int]

  init(
    configuration: ModelConfiguration, sequences: Int, capacity: Int, memory: MemoryPool
  ) throws(TensorError) {
    self.sequences = sequences
    self.capacity = capacity
    self.memory = memory
    heads = [configuration.keyValueHeadCount, configuration.headDimension]
    width = configuration.keyValueHeadCount * configuration.headDimension
    for _ in 0..<configuration.layerCount {
      keys.append(try memory.tensor([sequences * capacity, width]))
      values.append(try memory.tensor([sequences * capacity, width]))
    }
  }

  func append(
    layer: Int, keys newKeys: Tensor, values newValues: Tensor
  ) throws(TensorError) -> (keys: Variable, values: Variable) {
    let added = newKeys.count / max(1, sequences * width)
    precondition(length + added <= capacity, "a cache of \(capacity) tokens is full")
    copy(newKeys, to: keys[layer], added)
    copy(newValues, to: values[layer], added)
    return (
      Variable(try packed(keys[layer], length + added)), Variable(try packed(values[layer], length + added))
    )
  }

  func keyOffsets(adding tokens: Int) -> [Int32] {
    let each = length + tokens / max(1, sequences)
    return (0...sequences).map { Int32($0 * each) }
  }

  /// Call it when all layers have appended so many tokens of each sequence.
  func advance(by tokens: Int) { length += tokens }

  /// Forgets all sequences but these, which ascend.
  func keep(_ kept: [Int]) {
    for tensor in keys + values {
      tensor.withMutableValues { all in
        for (place, sequence) in kept.enumerated() where place != sequence {
          let from = sequence * capacity * width
          let to = place * capacity * width
          for i in 0..<length * width { all[to + i] = all[from + i] }
        }
      }
    }
    sequences = kept.count
  }

  private func copy(_ new: Tensor, to all: Tensor, _ added: Int) {
    new.withValues { new in
      all.withMutableValues { all in
        for sequence in 0..<sequences {
          let to = (sequence * capacity + length) * width
          let from = sequence * added * width
          _ = UnsafeMutableBufferPointer(rebasing: all[to..<to + added * width])
            .update(from: new[from..<from + added * width])
        }
      }
    }
  }

  /// The tokens of all sequences, one behind the other.
  private func packed(_ all: Tensor, _ length: Int) throws(TensorError) -> Tensor {
    let packed = try memory.tensor([sequences * length] + heads)
    all.withValues { all in
      packed.withMutableValues { packed in
        for sequence in 0..<sequences {
          let from = sequence * capacity * width
          let to = sequence * length * width
          _ = UnsafeMutableBufferPointer(rebasing: packed[to..<to + length * width])
            .update(from: all[from..<from + length * width])
        }
      }
    }
    return packed
  }
}

import Kernels

/// A 64-bit digest of numbers, by their bits: the same on every CPU and with any number of threads. It takes a thousandth
/// of the time of the products that these come from. `digest.c` has its formula.
public struct WordDigest: Sendable, Hashable {
  public private(set) var value: UInt64

  /// Of nothing.
  public init() { value = 0 }

  /// Takes in numbers; how they are divided among calls counts.
  public mutating func add(_ values: UnsafeBufferPointer<Float>, on threads: ThreadPool? = nil) {
    add(nl_digest(threads?.handle, values.count, values.baseAddress))
  }

  public mutating func add(_ tensor: Tensor, on threads: ThreadPool? = nil) {
    tensor.withValues { add($0, on: threads) }
  }

  /// Takes in a word, as another digest.
  public mutating func add(_ word: UInt64) { value = nl_digest_fold(value, word) }
}

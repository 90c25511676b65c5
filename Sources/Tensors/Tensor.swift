/// A buffer of a `MemoryPool`. It goes back to the pool when its last holder goes.
final class Storage {
  let pointer: UnsafeMutablePointer<Float>
  let count: Int
  private let pool: MemoryPool
  private let block: MemoryPool.Block

  init(pool: MemoryPool, block: MemoryPool.Block, pointer: UnsafeMutablePointer<Float>, count: Int) {
    self.pool = pool
    self.block = block
    self.pointer = pointer
    self.count = count
  }

  deinit { pool.giveBack(block) }
}

/// Numbers of type f32 in row-major order, without gaps. A copy shares the buffer.
public struct Tensor {
  var storage: Storage
  public let shape: [Int]

  init(storage: Storage, shape: [Int]) {
    self.storage = storage
    self.shape = shape
  }

  public var count: Int { storage.count }

  /// The last dimension, and how many rows of that length there are.
  var columns: Int { shape.last ?? 1 }
  var rows: Int { columns == 0 ? 0 : count / columns }

  /// Where the elements are, valid while this tensor or a copy of it is held. Kernel calls hold their tensors
  /// with `withExtendedLifetime`.
  var pointer: UnsafeMutablePointer<Float> { storage.pointer }

  public func withValues<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
    try withExtendedLifetime(storage) {
      try body(UnsafeBufferPointer(start: storage.pointer, count: storage.count))
    }
  }

  public func withMutableValues<R>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> R) rethrows -> R {
    try withExtendedLifetime(storage) {
      try body(UnsafeMutableBufferPointer(start: storage.pointer, count: storage.count))
    }
  }

  /// The elements, copied.
  public var values: [Float] { withValues { Array($0) } }

  /// The same elements under another shape with as many of them.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(shape.reduce(1, *) == count, "\(self.shape) cannot be seen as \(shape)")
    return Tensor(storage: storage, shape: shape)
  }

  /// True if nobody else holds the buffer, so that it may be written in place.
  mutating func isUnshared() -> Bool { isKnownUniquelyReferenced(&storage) }
}

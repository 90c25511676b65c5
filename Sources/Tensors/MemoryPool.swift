#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The memory of all tensors of one model: one reserved range of addresses, handed out by best fit and taken
/// back when a tensor's last holder goes.
///
/// Free neighbours are merged at once. A training step gives back everything that it took, so each step begins
/// with the same free list, and a step of the same shapes gets the same addresses: the resident size stays what
/// the largest step needed. Memory is made usable from the bottom, `growth` bytes at a time, and huge pages are
/// asked for. Not thread-safe: it belongs to the thread that computes.
public final class MemoryPool {
  /// A range of the pool, in bytes from its base.
  struct Block {
    var offset: Int
    var size: Int
    var end: Int { offset + size }
  }

  /// Bytes held by tensors now.
  public private(set) var inUse = 0
  /// The most bytes that were ever reached, gaps included: what the pool can have made resident.
  public private(set) var highWater = 0

  private let base: UnsafeMutableRawPointer
  private let reserved: Int
  private var usable = 0
  /// Free blocks below `highWater`, by ascending offset; never two that touch.
  private var free: [Block] = []
  private let growth = 32 << 20
  /// Every buffer begins on a boundary of this many bytes: a cache line, which is also the widest vector.
  static let alignment = 64

  /// - Throws: `TensorError.outOfMemory` if not even 1 GiB of addresses can be reserved.
  public init() throws(TensorError) {
    var size = 1 << 40
    while true {
      // Reserved addresses that cannot be touched cost nothing, whatever the policy for overcommitting is.
      let start = mmap(nil, size, PROT_NONE, MAP_PRIVATE | anonymousMapping, -1, 0)
      if let start, start != MAP_FAILED {
        base = start
        reserved = size
        return
      }
      size /= 2
      if size < 1 << 30 { throw .outOfMemory(requested: size, inUse: 0) }
    }
  }

  deinit { munmap(base, reserved) }

  /// A tensor whose elements are undefined.
  public func tensor(_ shape: [Int]) throws(TensorError) -> Tensor {
    Tensor(storage: try storage(count: shape.reduce(1, *)), shape: shape)
  }

  /// A tensor of zeros.
  public func zeros(_ shape: [Int]) throws(TensorError) -> Tensor {
    let tensor = try tensor(shape)
    tensor.withMutableValues { $0.update(repeating: 0) }
    return tensor
  }

  /// A tensor with the given elements, row by row. `values` must have as many elements as `shape` says.
  public func tensor(_ shape: [Int], _ values: UnsafeBufferPointer<Float>) throws(TensorError) -> Tensor {
    let tensor = try tensor(shape)
    precondition(values.count == tensor.count, "\(values.count) values for the shape \(shape)")
    tensor.withMutableValues { _ = $0.update(from: values) }
    return tensor
  }

  public func tensor(_ shape: [Int], _ values: [Float]) throws(TensorError) -> Tensor {
    let tensor = try tensor(shape)
    precondition(values.count == tensor.count, "\(values.count) values for the shape \(shape)")
    tensor.withMutableValues { _ = $0.update(from: values) }
    return tensor
  }

  private func storage(count: Int) throws(TensorError) -> Storage {
    let bytes = max(count, 1) * MemoryLayout<Float>.stride
    let size = (bytes + Self.alignment - 1) & ~(Self.alignment - 1)
    let offset = try take(size)
    inUse += size
    let start = (base + offset).bindMemory(to: Float.self, capacity: count)
    return Storage(pool: self, block: Block(offset: offset, size: size), pointer: start, count: count)
  }

  private func take(_ size: Int) throws(TensorError) -> Int {
    var best: Int?
    for (i, block) in free.enumerated()
    where block.size >= size && best.map({ block.size < free[$0].size }) ?? true {
      best = i
      if block.size == size { break }
    }
    if let best {
      let offset = free[best].offset
      if free[best].size == size {
        free.remove(at: best)
      } else {
        free[best].offset += size
        free[best].size -= size
      }
      return offset
    }
    // Nothing fits: grow, beginning with the free block at the end if there is one.
    let start = free.last.flatMap { $0.end == highWater ? $0.offset : nil } ?? highWater
    try makeUsable(upTo: start + size, for: size)
    if start < highWater { free.removeLast() }
    highWater = start + size
    return start
  }

  private func makeUsable(upTo end: Int, for size: Int) throws(TensorError) {
    guard end > usable else { return }
    let target = (end + growth - 1) / growth * growth
    guard target <= reserved, mprotect(base + usable, target - usable, PROT_READ | PROT_WRITE) == 0 else {
      throw .outOfMemory(requested: size, inUse: inUse)
    }
    #if os(Linux)
      // Without huge pages the products spend their time in page walks; refusal does no harm.
      _ = madvise(base + usable, target - usable, Int32(MADV_HUGEPAGE))
    #endif
    usable = target
  }

  func giveBack(_ block: Block) {
    inUse -= block.size
    var low = 0
    var high = free.count
    while low < high {
      let middle = (low + high) / 2
      if free[middle].offset < block.offset { low = middle + 1 } else { high = middle }
    }
    let joinsNext = low < free.count && block.end == free[low].offset
    let joinsPrevious = low > 0 && free[low - 1].end == block.offset
    switch (joinsPrevious, joinsNext) {
    case (true, true):
      free[low - 1].size += block.size + free[low].size
      free.remove(at: low)
    case (true, false): free[low - 1].size += block.size
    case (false, true): free[low] = Block(offset: block.offset, size: block.size + free[low].size)
    case (false, false): free.insert(block, at: low)
    }
  }
}

#if os(Linux)
  private let anonymousMapping = MAP_ANONYMOUS | MAP_NORESERVE
#else
  private let anonymousMapping = MAP_ANON
#endif

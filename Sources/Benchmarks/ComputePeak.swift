import Kernels
import Service
import Tensors

/// What the processor computes when nothing but registers is in the way: the limit of every product.
struct ComputePeak {
  let pool: ThreadPool
  let precision: Precision

  /// Does some operations on all threads, for about a millisecond; returns how many (a fused multiply-add counts two).
  func operations() -> Int {
    switch precision {
    case .f32: nl_peak_loop(pool.handle, 10_000)
    case .bf16Dot: nl_peak_dot_loop(pool.handle, 10_000)
    case .bf16Tiles, .f32Tiles: nl_peak_tile_loop(pool.handle, 10_000)
    }
  }

  /// The same of tiles whose operands come from the second cache; nil where the precision is not one of tiles.
  func cachedOperations() -> Int? {
    switch precision {
    case .f32, .bf16Dot: nil
    case .bf16Tiles, .f32Tiles: nl_peak_tile_cache_loop(pool.handle, 10_000)
    }
  }

  /// The best of some tries by elapsed time, in operations a second.
  func rate(tries: Int = 30) -> Double {
    let clock = ContinuousClock()
    return (0..<tries).reduce(0) { best, _ in
      var count = 0
      let seconds = clock.measure { count = operations() } / .seconds(1)
      return max(best, Double(count) / seconds)
    }
  }
}

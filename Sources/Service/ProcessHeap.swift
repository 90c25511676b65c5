import Foundation

/// The memory that a program allocates.
enum ProcessHeap {
  /// `M_ARENA_MAX` of glibc's malloc.h, which no Swift module has.
  private static let arenaMax: Int32 = -8

  /// Has all threads allocate from one heap, where the C library knows of several. Large blocks that pass from thread to
  /// thread, as gradients do from the socket's to that of the sums, otherwise leave holes in as many heaps as there are
  /// threads: with 64 workers a fifth of the coordinator's memory. To be called before there are threads.
  static func keepTogether() {
    typealias Setter = @convention(c) (_ parameter: Int32, _ value: Int32) -> Int32
    guard let mallopt = dlsym(nil, "mallopt") else { return }
    _ = unsafeBitCast(mallopt, to: Setter.self)(arenaMax, 1)
  }
}

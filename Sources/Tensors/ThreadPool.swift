import Kernels

/// The threads that run the kernels. The calling thread is one of them; between kernels the others wait.
///
/// One caller at a time: a pool belongs to one computation. The number of threads never changes a bit of a
/// result, for kernels split rows, columns or heads among threads, never a sum.
public final class ThreadPool: @unchecked Sendable {
  /// Number of threads, the caller included.
  public let threads: Int
  /// The pool as the kernels know it.
  public let handle: OpaquePointer

  /// - Throws: `TensorError.threads` unless 1 ≤ `threads` ≤ 1024 and the system grants them.
  public init(threads: Int) throws(TensorError) {
    guard (1...1024).contains(threads), let handle = nl_pool_create(Int32(threads)) else {
      throw .threads(requested: threads)
    }
    self.threads = threads
    self.handle = handle
  }

  deinit { nl_pool_destroy(handle) }
}

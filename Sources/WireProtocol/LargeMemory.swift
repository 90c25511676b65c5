import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Memory for gradients and parameters, which come and go by the megabyte. What is large has pages of its own and not a
/// place in the heap: there small blocks are cut from where a large one was, so that the next has no room in the same
/// place, and a coordinator of many workers takes up to a third more than it uses. Pages that are let go of wait a moment
/// for the next memory of their size, as the system clears new ones first.
///
/// Unchecked: whoever makes it says who writes to it, and when.
public final class LargeMemory: @unchecked Sendable {
  /// What has fewer bytes lies in the heap.
  static let leastBytes = 1 << 20
  private static let waiting = Mutex(WaitingPages())

  /// Aligned to 64 bytes. What is in them at first is undefined.
  public let bytes: UnsafeMutableRawBufferPointer
  private let hasPages: Bool

  /// - Parameter byteCount: at least 0. Where the system grants no pages, the memory is the heap's.
  public init(byteCount: Int) {
    if byteCount >= Self.leastBytes, let pages = Self.pages(byteCount) {
      bytes = UnsafeMutableRawBufferPointer(start: pages, count: byteCount)
      hasPages = true
    } else {
      bytes = .allocate(byteCount: byteCount, alignment: 64)
      hasPages = false
    }
  }

  deinit {
    guard hasPages, let start = bytes.baseAddress else { return bytes.deallocate() }
    let pages = Pages(start: start, byteCount: Self.wholePages(bytes.count))
    for gone in Self.waiting.withLock({ $0.add(pages, now: Self.now()) }) { gone.unmap() }
  }

  /// As f32 values, as many as there are whole ones.
  public var floats: UnsafeMutableBufferPointer<Float> { bytes.assumingMemoryBound(to: Float.self) }

  /// Gives back to the system what nobody has asked for again. Whoever polls a socket has it looked at.
  public static func expire() { expire(now: now()) }

  static func expire(now: Double) {
    for gone in waiting.withLock({ $0.expire(now: now) }) { gone.unmap() }
  }

  private static func pages(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let size = wholePages(byteCount)
    if let pages = waiting.withLock({ $0.take(byteCount: size) }) { return pages.start }
    let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | anonymousMapping, -1, 0)
    return start == MAP_FAILED ? nil : start
  }

  private static func wholePages(_ byteCount: Int) -> Int {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    return (byteCount + page - 1) / page * page
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// Pages that nobody holds, since the last that held them let go. Bounded in bytes and in time.
struct WaitingPages {
  /// Of all of them together, and how long one waits, in seconds.
  static let mostBytes = 64 << 20
  static let seconds = 1.0

  private var pages: [(pages: Pages, since: Double)] = []
  private(set) var byteCount = 0

  /// - Returns: those that have to go for it, the oldest; it itself if it is too large.
  mutating func add(_ added: Pages, now: Double) -> [Pages] {
    guard added.byteCount <= Self.mostBytes else { return [added] }
    pages.append((added, now))
    byteCount += added.byteCount
    return removeOldest { _, byteCount in byteCount > Self.mostBytes }
  }

  /// The last that was added of so many bytes: it is the likeliest to be in a cache.
  mutating func take(byteCount wanted: Int) -> Pages? {
    guard let place = pages.lastIndex(where: { $0.pages.byteCount == wanted }) else { return nil }
    byteCount -= wanted
    return pages.remove(at: place).pages
  }

  /// - Returns: those that have waited too long.
  mutating func expire(now: Double) -> [Pages] {
    removeOldest { since, _ in since + Self.seconds < now }
  }

  private mutating func removeOldest(while mustGo: (_ since: Double, _ byteCount: Int) -> Bool) -> [Pages] {
    var gone: [Pages] = []
    while let oldest = pages.first, mustGo(oldest.since, byteCount) {
      byteCount -= oldest.pages.byteCount
      gone.append(pages.removeFirst().pages)
    }
    return gone
  }
}

/// Whole pages, of a mapping of their own.
///
/// Unchecked: it is an address, and only who holds it uses it.
struct Pages: @unchecked Sendable {
  let start: UnsafeMutableRawPointer
  let byteCount: Int

  func unmap() { munmap(start, byteCount) }
}

#if os(Linux)
  private let anonymousMapping = MAP_ANONYMOUS | MAP_NORESERVE
#else
  private let anonymousMapping = MAP_ANON
#endif

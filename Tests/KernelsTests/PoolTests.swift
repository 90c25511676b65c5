import Harness
import Kernels
import Testing

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct PoolTests {
  /// A slot for each part of a region; parts write nowhere else, so no lock is needed.
  private final class Slots {
    let counts: UnsafeMutableBufferPointer<Int32>
    init(_ count: Int) {
      counts = .allocate(capacity: count)
      counts.initialize(repeating: 0)
    }
    deinit { counts.deallocate() }
  }

  private static let count: @convention(c) (UnsafeMutableRawPointer?, Int) -> Void = { context, part in
    context?.assumingMemoryBound(to: Int32.self)[part] += 1
  }

  @Test(arguments: 1...5)
  func everyPartRunsOnce(threads: Int32) throws {
    let pool = try #require(nl_pool_create(threads))
    defer { nl_pool_destroy(pool) }
    #expect(nl_pool_threads(pool) == threads)
    for parts in [0, 1, 2, 3, 17, 10_000] {
      let slots = Slots(parts)
      nl_pool_run(pool, parts, Self.count, slots.counts.baseAddress)
      #expect(slots.counts.allSatisfy { $0 == 1 }, "\(parts) parts")
    }
  }

  // Regions follow each other at every distance: at once, within the time that threads look for work, and after
  // they have gone to sleep. A worker that comes late must not take a part of the next region with the old body.
  @Test func regionsDoNotMix() throws {
    let pool = try #require(nl_pool_create(4))
    defer { nl_pool_destroy(pool) }
    var random = SplitMix64(seed: 21)
    for region in 0..<20_000 {
      let slots = Slots(Int.random(in: 1...9, using: &random))
      nl_pool_run(pool, slots.counts.count, Self.count, slots.counts.baseAddress)
      #expect(slots.counts.allSatisfy { $0 == 1 }, "region \(region)")
      if region % 1000 == 999 { pause(microseconds: 500) }
      if region % 100 == 99 { pause(microseconds: 15) }
    }
  }

  private func pause(microseconds: UInt32) {
    #if canImport(Glibc)
      usleep(microseconds)
    #endif
  }

  @Test func noPoolIsOneThread() {
    #expect(nl_pool_threads(nil) == 1)
    let slots = Slots(100)
    nl_pool_run(nil, 100, Self.count, slots.counts.baseAddress)
    #expect(slots.counts.allSatisfy { $0 == 1 })
    nl_pool_destroy(nil)
  }

  @Test(arguments: [0, -1, Int32.min])
  func refusesFewerThanOneThread(threads: Int32) { #expect(nl_pool_create(threads) == nil) }

  #if os(Linux)
    /// The kernel's number of the calling thread, from the link /proc/thread-self -> <process>/task/<thread>.
    private static func threadNumber() -> Int32 {
      var link = [CChar](repeating: 0, count: 64)
      let length = readlink("/proc/thread-self", &link, link.count)
      let digits = link.prefix(max(0, length)).split(separator: CChar(UInt8(ascii: "/"))).last ?? []
      return Int32(String(decoding: digits.map(UInt8.init(bitPattern:)), as: UTF8.self)) ?? 0
    }

    // Every part waits until all have begun, so each runs on a thread of its own and tells its number, which
    // /proc lists as long as the thread lives.
    @Test func threadsAreGoneAfterDestroy() throws {
      let pool = try #require(nl_pool_create(3))
      let slots = Slots(4)
      nl_pool_run(
        pool, 3,
        { context, part in
          guard let numbers = context?.assumingMemoryBound(to: Int32.self) else { return }
          numbers[part] = PoolTests.threadNumber()
          for _ in 0..<10_000 where (0..<3).contains(where: { numbers[$0] == 0 }) { usleep(100) }
        }, slots.counts.baseAddress)
      let threads = Set(slots.counts.prefix(3))
      let lives = { (thread: Int32) in access("/proc/self/task/\(thread)", F_OK) == 0 }
      #expect(threads.count == 3)
      #expect(threads.allSatisfy(lives))
      nl_pool_destroy(pool)
      // A thread that is joined stands in the list for a moment still.
      for _ in 0..<5_000 where threads.filter(lives).count > 1 { usleep(1_000) }
      #expect(threads.filter(lives) == [Self.threadNumber()])
    }
  #endif
}

import Foundation
import Harness
import Testing

@testable import WireProtocol

/// Memory of megabytes: used again while it is warm, given back after that, and no holes between what is small.
@Suite struct LargeMemoryTests {
  private static func pages(_ byteCount: Int) -> Pages {
    // Nobody looks at it.
    Pages(start: UnsafeMutableRawPointer(bitPattern: 4096)!, byteCount: byteCount)
  }

  /// What was let go of last, and has exactly the size, is used again.
  @Test func usesAgain() {
    var waiting = WaitingPages()
    for size in [8192, 4096, 8192] { #expect(waiting.add(Self.pages(size), now: 0).isEmpty) }
    #expect(waiting.byteCount == 20_480)
    #expect(waiting.take(byteCount: 12_288) == nil)
    #expect(waiting.take(byteCount: 4096)?.byteCount == 4096)
    #expect(waiting.take(byteCount: 4096) == nil)
    #expect(waiting.take(byteCount: 8192) != nil && waiting.take(byteCount: 8192) != nil)
    #expect(waiting.byteCount == 0)
  }

  /// Never more waits than 64 MiB, and nothing longer than a second.
  @Test func isBounded() {
    var waiting = WaitingPages()
    let third = WaitingPages.mostBytes / 3
    for second in 0..<3 { #expect(waiting.add(Self.pages(third), now: Double(second) / 4).isEmpty) }
    #expect(waiting.add(Self.pages(third), now: 0.75).count == 1)
    // Too large to wait at all; it drives nothing out.
    #expect(waiting.add(Self.pages(WaitingPages.mostBytes + 4096), now: 0.75).count == 1)
    #expect(waiting.byteCount == 3 * third)
    #expect(waiting.expire(now: 1.2).isEmpty)
    #expect(waiting.expire(now: 1.3).count == 1)
    #expect(waiting.expire(now: 9).count == 2)
    #expect(waiting.byteCount == 0)
  }

  /// Any size is aligned to a cache line, and holds what is written to it.
  @Test(arguments: [0, 1, 63, 4096, LargeMemory.leastBytes - 1, LargeMemory.leastBytes, 5_000_001])
  func holds(_ byteCount: Int) {
    let memory = LargeMemory(byteCount: byteCount)
    #expect(memory.bytes.count == byteCount && memory.floats.count == byteCount / 4)
    #expect(Int(bitPattern: memory.bytes.baseAddress) % 64 == 0)
    for place in memory.bytes.indices { memory.bytes[place] = UInt8(truncatingIfNeeded: place &* 31) }
    #expect(memory.bytes.indices.allSatisfy { memory.bytes[$0] == UInt8(truncatingIfNeeded: $0 &* 31) })
  }

  /// Small blocks that come between large ones and stay keep none of their memory; in the heap they keep all of it.
  @Test func leavesNoHoles() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      var small: [[UInt8]] = []
      let before = try OwnMemory.residentBytes()
      var most = 0
      for round in 0..<20 {
        var large: [LargeMemory] = []
        // Sizes that fit into no hole of the rounds before.
        for _ in 0..<10 {
          let memory = LargeMemory(byteCount: (4 << 20) + (round << 14))
          memory.bytes.initializeMemory(as: UInt8.self, repeating: 1)
          large.append(memory)
          small.append([UInt8](repeating: 2, count: 100))
        }
        most = max(most, try OwnMemory.residentBytes() - before)
        withExtendedLifetime(large) {}
      }
      LargeMemory.expire(now: .infinity)
      let left = try OwnMemory.residentBytes() - before
      print("\(most >> 20) MiB at most, \(left >> 20) left")
      // 40 MiB and what of another size waits, at most 64.
      #expect(most < 120 << 20, "\(most) bytes at most")
      #expect(left < 4 << 20, "\(left) bytes left")
    }
    printOutput(ended?.standardOutputContent)
  }
}

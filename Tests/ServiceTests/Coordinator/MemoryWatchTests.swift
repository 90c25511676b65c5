import JSON
import Testing
import WireProtocol

@testable import Service

/// How much memory the processes of a run have.
@Suite struct MemoryWatchTests {
  /// A worker counts with what it last said, and no more once it has left.
  @Test func workersComeAndGo() throws {
    let watch = MemoryWatch()
    let alone = try #require(watch.json)
    #expect(alone["coordinator"]?.int ?? 0 > 1_000_000 && alone["workers"] == .null)
    let (a, b) = (PeerID("a"), PeerID("b"))
    watch.says(a, 5)
    watch.says(b, 7)
    watch.says(a, 6)
    let both = try #require(watch.json)
    #expect(both["workers"] == 13 && both["largest_worker"] == 7 && watch.bytes(of: a) == 6)
    watch.left(b)
    #expect(watch.json?["workers"] == 6 && watch.bytes(of: b) == nil)
  }
}

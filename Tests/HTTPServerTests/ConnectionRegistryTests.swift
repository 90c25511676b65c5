import Synchronization
import Testing

@testable import HTTPServer

/// Which connections go where there are too many.
@Suite struct ConnectionRegistryTests {
  private final class Log: Sendable {
    let closed = Mutex<[String]>([])
  }

  private let registry = ConnectionRegistry(most: 3)
  private let log = Log()

  private func open(_ name: String) -> ConnectionRegistry.Connection {
    registry.opened { [log] in log.closed.withLock { $0.append(name) } }
  }

  private var closed: [String] { log.closed.withLock { $0 } }

  @Test func theOneThatWasUsedLast() {
    let connections = ["a", "b", "c"].map(open)
    #expect(closed == [])
    registry.used(connections[0], isWhole: true)
    registry.answered(connections[0])
    _ = open("d")
    #expect(closed == ["b"])
    _ = open("e")
    #expect(closed == ["b", "c"])
    _ = open("f")
    #expect(closed == ["b", "c", "a"])
  }

  /// One that is being answered stays, however long that takes; one whose request does not come to its end does not.
  @Test func oneThatIsInUse() {
    let connections = ["a", "b", "c"].map(open)
    for connection in connections.prefix(2) { registry.used(connection, isWhole: true) }
    registry.used(connections[2], isWhole: false)
    _ = open("d")
    #expect(closed == ["c"])
    _ = open("e")
    #expect(closed == ["c", "d"])
    registry.answered(connections[1])
    registry.closed(connections[1])
    // There is room again, for one.
    _ = open("f")
    #expect(closed == ["c", "d"])
    _ = open("g")
    #expect(closed == ["c", "d", "e"])
  }

  @Test func whereAllAreInUse() {
    for name in ["a", "b", "c", "d"] { registry.used(open(name), isWhole: true) }
    #expect(closed == [])
  }
}

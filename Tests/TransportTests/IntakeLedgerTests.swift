import Glibc
import Testing
import WireProtocol

@testable import Transport

/// What each connection may have on its way: the reference are the limits of PROTOCOL.md, 64 KiB for a stranger and
/// 32 MiB for a worker, whichever thread is told first of what. Connections are real, over loopback.
@Suite struct IntakeLedgerTests {
  /// A TCP connection within this process.
  private final class Connection {
    let near: Int32
    let far: Int32
    private(set) var port: UInt16 = 0

    init() throws {
      let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(listener) }
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      far = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      let far = far
      near = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          guard bind(listener, $0, length) == 0, listen(listener, 1) == 0,
            getsockname(listener, $0, &length) == 0,
            connect(far, $0, length) == 0
          else { return -1 }
          return accept(listener, nil, nil)
        }
      }
      port = UInt16(bigEndian: address.sin_port)
      try #require(near >= 0)
    }

    deinit {
      close(near)
      close(far)
    }

    var counter: ConnectionCounter? { ConnectionCounter(descriptor: near, ports: [port]) }

    /// Sends bytes and reads them at the other end, as ZeroMQ's own thread does.
    func carry(_ byteCount: Int) { carry(byteCount, from: far, to: near) }
    func carryBack(_ byteCount: Int) { carry(byteCount, from: near, to: far) }

    private func carry(_ byteCount: Int, from far: Int32, to near: Int32) {
      var buffer = [UInt8](repeating: 7, count: 4096)
      var left = byteCount
      while left > 0 {
        let sent = send(far, buffer, min(left, buffer.count), 0)
        guard sent > 0 else { return }
        left -= sent
        var came = 0
        while came < sent { came += max(1, recv(near, &buffer, sent - came, 0)) }
      }
    }
  }

  private static let limits = IntakeLimits()

  /// On a busy machine the watch hears of a connection after its HELLO was read and answered.
  @Test func aWorkerThatIsHeardOfLate() throws {
    let connection = try Connection()
    var ledger = IntakeLedger(limits: Self.limits)
    connection.carry(300)
    ledger.read(300, from: connection.near, peer: [1]) { _ in connection.counter }
    ledger.welcome([1])
    ledger.accepted(try #require(connection.counter), monitor: 0)
    connection.carry(1 << 20)
    #expect(ledger.enforce() == [])
    connection.carry(32 << 20)
    #expect(ledger.enforce() == [IntakeExcess(peer: [1], bytes: 33 << 20, limit: 32 << 20)])
  }

  /// What was read counts, whenever the connection was heard of.
  @Test func aStrangerThatIsHeardOfLate() throws {
    let connection = try Connection()
    var ledger = IntakeLedger(limits: Self.limits)
    connection.carry(64 << 10)
    ledger.read(64 << 10, from: connection.near, peer: [1]) { _ in connection.counter }
    ledger.accepted(try #require(connection.counter), monitor: 0)
    connection.carry(64 << 10)
    #expect(ledger.enforce() == [])
    connection.carry(1)
    #expect(ledger.enforce() == [IntakeExcess(peer: [1], bytes: (64 << 10) + 1, limit: 64 << 10)])
  }

  /// A descriptor that is used again is another connection's: nothing that its former owner was allowed holds for it.
  @Test func aDescriptorThatIsUsedAgain() throws {
    let first = try Connection()
    var ledger = IntakeLedger(limits: Self.limits)
    ledger.accepted(try #require(first.counter), monitor: 0)
    ledger.read(0, from: first.near, peer: [1]) { _ in first.counter }
    ledger.welcome([1])
    #expect(ledger.closed(first.near, monitor: 0) == .some([1]))
    let second = try Connection()
    dup2(second.near, first.near)
    let counter = try #require(ConnectionCounter(descriptor: first.near, ports: [second.port]))
    ledger.accepted(counter, monitor: 0)
    second.carry((64 << 10) + 1)
    #expect(ledger.enforce() == [IntakeExcess(peer: nil, bytes: (64 << 10) + 1, limit: 64 << 10)])
  }

  /// A connection has come and gone before the watch heard of it, and a worker's has its descriptor already: what is heard
  /// of the first is taken for the worker's.
  @Test func anEndThatIsHeardOfLate() throws {
    let connection = try Connection()
    let counter = try #require(connection.counter)
    var ledger = IntakeLedger(limits: Self.limits)
    connection.carry(300)
    ledger.read(300, from: connection.near, peer: [2]) { _ in connection.counter }
    ledger.welcome([2])
    ledger.accepted(counter, monitor: 0)
    #expect(ledger.closed(connection.near, monitor: 0) == .some([2]))
    ledger.read(100, from: connection.near, peer: [2]) { _ in connection.counter }
    ledger.accepted(counter, monitor: 0)
    connection.carry(1 << 20)
    #expect(ledger.enforce() == [])
  }

  /// A part of a worker's long message is a sign of life. Small messages are none beyond themselves, however many bytes of
  /// handshakes nobody has read: a worker whose arithmetic hangs sends these for ever. Nor are strangers.
  @Test func aMessageThatTakesLong() throws {
    let connection = try Connection()
    var ledger = IntakeLedger(limits: Self.limits)
    ledger.accepted(try #require(connection.counter), monitor: 0)
    let look = { () -> [PeerID] in
      #expect(ledger.enforce() == [])
      let moving = ledger.takeMoving()
      #expect(moving.leaving == [])
      return moving.arriving
    }
    connection.carry(5000)
    #expect(look() == [])
    ledger.read(300, from: connection.near, peer: [1]) { _ in connection.counter }
    ledger.welcome([1])
    for (bytes, isMovement) in [
      (1000, false), (1023, false), (1024, true), (0, false), (20_000, true), (1, false),
    ] {
      connection.carry(bytes)
      #expect(look() == (isMovement ? [PeerID([1])] : []), "\(bytes) bytes")
    }
  }

  /// What has reached a worker's machine is progress, if it is more than small messages.
  @Test func aMessageThatTakesLongToGo() throws {
    let connection = try Connection()
    var ledger = IntakeLedger(limits: Self.limits)
    ledger.accepted(try #require(connection.counter), monitor: 0)
    ledger.read(0, from: connection.near, peer: [1]) { _ in connection.counter }
    ledger.welcome([1])
    for (bytes, isMovement) in [(100, false), (1024, true), (1023, false), (1, false), (100_000, true)] {
      let before = connection.counter?.bytes?.acknowledged ?? 0
      connection.carryBack(bytes)
      // The kernel acknowledges a moment later.
      for _ in 0..<1000 where (connection.counter?.bytes?.acknowledged ?? 0) - before < bytes { usleep(1000) }
      #expect(ledger.enforce() == [])
      #expect(ledger.takeMoving() == MovingMessages(leaving: isMovement ? [PeerID([1])] : []))
    }
  }

  /// Peers that no connection is heard of, however many: no more is remembered than what there is.
  @Test func peersWithoutConnections() throws {
    let connection = try Connection()
    var ledger = IntakeLedger(limits: Self.limits)
    for number in 0..<100_000 {
      ledger.read(10, from: Int32(number), peer: [UInt8(number & 255), UInt8(number >> 8 & 255)]) { _ in
        connection.counter
      }
    }
    #expect(ledger.rememberedCount <= 1026)
  }
}

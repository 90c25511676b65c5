import CZeroMQ
import Foundation
import Harness
import Testing
import Transport
import WireProtocol

/// Whoever can reach the port can send anything.
@Suite struct HostileTests {
  /// A bare ZeroMQ socket that sends frames as they are.
  final class Bare {
    let context = zmq_ctx_new()
    let socket: UnsafeMutableRawPointer?

    init(_ endpoint: String) {
      socket = zmq_socket(context, ZMQ_DEALER)
      var linger: Int32 = 0
      zmq_setsockopt(socket, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
      zmq_connect(socket, endpoint)
    }

    func send(_ frames: [[UInt8]]) {
      for (number, frame) in frames.enumerated() {
        zmq_send(socket, frame, frame.count, number < frames.count - 1 ? ZMQ_SNDMORE : 0)
      }
    }

    deinit {
      zmq_close(socket)
      zmq_ctx_term(context)
    }
  }

  private func receive(_ count: Int, at router: Router) throws -> [Received] {
    var all: [Received] = []
    for _ in 0..<100 where all.count < count { all += try router.poll(timeout: 0.1).map(\.received) }
    return all
  }

  private func frames(_ sequence: UInt64) throws -> [[UInt8]] {
    try EncodedMessage(.ping, envelope: Envelope(type: .ping, sequence: sequence)).frames
  }

  /// Garbage is an error of its own message: the next one of the same peer is read as ever.
  @Test func garbage() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let bare = Bare(try router.bind("tcp://127.0.0.1:0"))
    bare.send([[1, 2, 3]])
    bare.send([[]])
    bare.send(Array(repeating: [0x4E, 0x4C, 1, 0], count: 1000))
    bare.send(try frames(1) + [[0]])
    bare.send(try frames(1))
    let received = try receive(5, at: router)
    #expect(received.count == 5)
    for bad in received.prefix(4) { #expect(throws: ProtocolError.self) { try bad.get() } }
    #expect(try received.last?.get().1 == .ping)
  }

  /// A message that was recorded and is sent again is refused by its sequence number; so is one before which another
  /// was lost.
  @Test func replay() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let bare = Bare(try router.bind("tcp://127.0.0.1:0"))
    for sequence in [1, 2, 2, 1, 0, 4, 3] as [UInt64] { bare.send(try frames(sequence)) }
    let received = try receive(7, at: router)
    let kinds = received.map { result -> ProtocolError.Kind? in
      if case .failure(let error) = result { error.kind } else { nil }
    }
    #expect(kinds == [nil, nil, .sequence, .sequence, .sequence, .sequence, nil])
  }

  /// A frame above the limit ends the connection before it is taken into memory; others are served as before.
  @Test func oversizedFrame() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let endpoint = try router.bind("tcp://127.0.0.1:0")
    let bare = Bare(endpoint)
    bare.send([[UInt8](repeating: 0, count: WireLimits().frameBytes + 1)])
    #expect(try router.poll(timeout: 0.3).isEmpty)
    let honest = try Dealer(connect: endpoint, waker: Waker())
    defer { honest.close(flushing: false) }
    try honest.send(.ping, of: .none, session: .none)
    #expect(try receive(1, at: router).map { try $0.get().1 } == [.ping])
  }

  /// Something that is no ZeroMQ at all.
  @Test func rawConnections() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let endpoint = try router.bind("tcp://127.0.0.1:0")
    let port = Int(endpoint.split(separator: ":").last ?? "") ?? 0
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    for _ in 0..<100 {
      let descriptor = try #require(connected(to: port))
      _ = write(descriptor, "GET / HTTP/1.1\r\n\r\n", 18)
      sockets.append(descriptor)
    }
    let honest = try Dealer(connect: endpoint, waker: Waker())
    defer { honest.close(flushing: false) }
    try honest.send(.ping, of: .none, session: .none)
    #expect(try receive(1, at: router).map { try $0.get().1 } == [.ping])
  }
}

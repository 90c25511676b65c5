import CZeroMQ
import Foundation
import WireProtocol

/// Watches the connections of listening sockets on a thread of its own, so that they are looked at whatever the socket's
/// thread is doing: hears when they begin and end, and ends those that send more than may wait here.
final class ConnectionWatch {
  private let monitors: [SocketMonitor]
  private let watcher: Watcher
  private var isOpen = true

  /// - Parameter waker: woken when a connection has ended.
  init(
    of sockets: [Socket], context: Context, limits: IntakeLimits, waker: Waker
  ) throws(TransportError) {
    var monitors: [SocketMonitor] = []
    for (number, socket) in sockets.enumerated() {
      guard let handle = socket.handle else { continue }
      monitors.append(
        try SocketMonitor(of: handle, context: context, name: "router-\(number)", hears: .accepted))
    }
    self.monitors = monitors
    watcher = Watcher(
      monitors: monitors, ledger: IntakeLedger(limits: limits), stop: try Waker(), waker: waker)
    let watcher = watcher
    let thread = Thread { watcher.run() }
    thread.name = "connections"
    thread.start()
  }

  deinit { close() }

  func close() {
    guard isOpen else { return }
    isOpen = false
    watcher.end()
    for monitor in monitors { monitor.close() }
  }

  /// Begins to listen: no connection is heard of before its port is known.
  func listen(_ bind: () throws(TransportError) -> String) throws(TransportError) -> String {
    try watcher.listen(bind)
  }

  /// Why connections are not watched any more.
  var failure: TransportError? { watcher.failure }

  /// A message of so many bytes on the wire was read.
  func read(_ byteCount: Int, from descriptor: Int32, peer: PeerID) {
    watcher.read(byteCount, from: descriptor, peer: peer.bytes)
  }

  /// A peer has been welcomed as a worker.
  func welcome(_ peer: PeerID) { watcher.welcome(peer.bytes) }

  /// Workers whose long messages have moved since this was last asked.
  func takeMoving() -> MovingMessages { watcher.takeMoving() }

  /// Connections that have ended since this was last asked, and those that were ended here.
  func take() -> (lost: LostConnections, excesses: [IntakeExcess]) { watcher.take() }
}

/// The watch's thread. It alone uses the monitors until it has ended; all else is behind the lock.
private final class Watcher: @unchecked Sendable {
  private static let keptExcesses = 256

  private let monitors: [SocketMonitor]
  private let stop: Waker
  private let waker: Waker
  private let ended = DispatchSemaphore(value: 0)
  private let lock = NSLock()
  private var ledger: IntakeLedger
  private var ports = Set<UInt16>()
  private var isStopping = false
  private var lost = LostConnections()
  private var excesses: [IntakeExcess] = []
  private var lastFailure: TransportError?

  init(monitors: [SocketMonitor], ledger: IntakeLedger, stop: Waker, waker: Waker) {
    self.monitors = monitors
    self.ledger = ledger
    self.stop = stop
    self.waker = waker
  }

  var failure: TransportError? { lock.withLock { lastFailure } }

  func listen(_ bind: () throws(TransportError) -> String) throws(TransportError) -> String {
    lock.lock()
    defer { lock.unlock() }
    let bound = try bind()
    if bound.hasPrefix("tcp://"), let port = bound.split(separator: ":").last.flatMap({ UInt16($0) }) {
      ports.insert(port)
    }
    return bound
  }

  func read(_ byteCount: Int, from descriptor: Int32, peer: [UInt8]) {
    lock.withLock {
      ledger.read(byteCount, from: descriptor, peer: peer) { ConnectionCounter(descriptor: $0, ports: ports) }
    }
  }

  func welcome(_ peer: [UInt8]) { lock.withLock { ledger.welcome(peer) } }

  func take() -> (lost: LostConnections, excesses: [IntakeExcess]) {
    lock.withLock {
      defer { (lost, excesses) = (LostConnections(), []) }
      return (lost, excesses)
    }
  }

  func takeMoving() -> MovingMessages { lock.withLock { ledger.takeMoving() } }

  /// Returns when the thread has left the monitors alone for good.
  func end() {
    lock.withLock { isStopping = true }
    stop.wake()
    ended.wait()
    // For whoever asks for the end again.
    ended.signal()
  }

  func run() {
    defer { ended.signal() }
    var next = monotonicSeconds()
    while !lock.withLock({ isStopping }) {
      let (isIdle, period) = lock.withLock { (ledger.isEmpty, pace) }
      let wait = isIdle ? 60 : max(0, next - monotonicSeconds())
      do throws(TransportError) {
        try Context.wait(for: monitors.compactMap(\.handle), waker: stop, seconds: wait)
      } catch {
        lock.withLock { lastFailure = error }
        return waker.wake()
      }
      hear()
      guard monotonicSeconds() >= next else { continue }
      enforce()
      next = monotonicSeconds() + period
    }
  }

  /// With very many connections a round takes longer, and is to leave time for other things.
  private var pace: Double { max(ledger.limits.period, 0.0001 * Double(ledger.count)) }

  private func hear() {
    for (number, monitor) in monitors.enumerated() {
      for event in monitor.take() {
        switch event {
        case .accepted(let descriptor):
          lock.withLock {
            guard let counter = ConnectionCounter(descriptor: descriptor, ports: ports) else { return }
            ledger.accepted(counter, monitor: number)
          }
        case .disconnected(let descriptor):
          let isSomebody = lock.withLock {
            switch ledger.closed(descriptor, monitor: number) {
            case .some(.some(let peer)): lost.add(PeerID(peer))
            case .some(nil): return false
            case nil: lost.hasUncounted = true
            }
            return true
          }
          if isSomebody { waker.wake() }
        case .handshakeFailed, .connected: break
        }
      }
    }
  }

  private func enforce() {
    let isNew = lock.withLock {
      let new = ledger.enforce()
      excesses += new.prefix(max(0, Self.keptExcesses - excesses.count))
      return !new.isEmpty
    }
    if isNew { waker.wake() }
  }
}

import CZeroMQ
import Foundation

/// Decides about every connection to a context's CURVE sockets, on a thread of its own. It is there before any of
/// them is bound and until all are closed. Whoever it does not expressly let in is refused.
final class Authenticator {
  private static let endpoint = "inproc://zeromq.zap.01"

  private let context: Context
  private var socket: UnsafeMutableRawPointer?
  private let handler: Handler

  /// - Parameter waker: woken when there is something to tell.
  init(context: Context, allowedKeys: [PublicKey: String], waker: Waker) throws(TransportError) {
    let stop = try Waker()
    let socket = try context.open(ZMQ_REP)
    guard zmq_bind(socket, Self.endpoint) == 0 else {
      let error = TransportError.last("authentication could not be set up")
      context.close(socket)
      throw error
    }
    self.context = context
    self.socket = socket
    let handler = Handler(socket: socket, allowedKeys: allowedKeys, stop: stop, waker: waker)
    self.handler = handler
    let thread = Thread { handler.run() }
    thread.name = "authentication"
    thread.start()
  }

  deinit { close() }

  /// Who was refused since the last call: the first few, and how many in all.
  func takeRefusals() -> (refusals: [Refusal], count: Int) { handler.takeRefusals() }

  /// Who is let in from now on.
  func allow(_ keys: [PublicKey: String]) { handler.allow(keys) }

  /// Why nobody is let in any more.
  var failure: TransportError? { handler.failure }

  /// Decides nothing more; while the socket is there, nobody gets in.
  func end() { handler.end() }

  func close() {
    guard let socket else { return }
    self.socket = nil
    end()
    context.close(socket)
  }
}

/// The authenticator's thread. It alone uses the socket until it has ended; all else is behind the lock.
private final class Handler: @unchecked Sendable {
  private static let keptRefusals = 16

  private let socket: UnsafeMutableRawPointer
  private var allowedKeys: [PublicKey: String]
  private let stop: Waker
  private let waker: Waker
  private let ended = DispatchSemaphore(value: 0)
  private let lock = NSLock()
  private var isStopping = false
  private var refusals: [Refusal] = []
  private var refusalCount = 0
  private var lastFailure: TransportError?

  init(socket: UnsafeMutableRawPointer, allowedKeys: [PublicKey: String], stop: Waker, waker: Waker) {
    self.socket = socket
    self.allowedKeys = allowedKeys
    self.stop = stop
    self.waker = waker
  }

  var failure: TransportError? { lock.withLock { lastFailure } }

  func allow(_ keys: [PublicKey: String]) { lock.withLock { allowedKeys = keys } }

  func takeRefusals() -> (refusals: [Refusal], count: Int) {
    lock.withLock {
      defer { (refusals, refusalCount) = ([], 0) }
      return (refusals, refusalCount)
    }
  }

  /// Returns when the thread has left the socket alone for good.
  func end() {
    lock.withLock { isStopping = true }
    stop.wake()
    ended.wait()
    // For whoever asks for the end again.
    ended.signal()
  }

  func run() {
    defer { ended.signal() }
    do throws(TransportError) {
      while !lock.withLock({ isStopping }) {
        try Context.wait(for: [socket], waker: stop, seconds: 60)
        while let frames = try receive() { try answer(frames) }
      }
    } catch {
      // The socket stays open and silent: without an answer every handshake runs into its time limit.
      lock.withLock { lastFailure = error }
      waker.wake()
    }
  }

  private func answer(_ frames: [[UInt8]]) throws(TransportError) {
    let verdict = AuthenticationRequest.judge(frames, allowedKeys: lock.withLock { allowedKeys })
    switch verdict {
    case .allowed: break
    case .refused(let refusal): note(refusal)
    case .malformed: note(Refusal(address: "", key: nil))
    }
    let answer = AuthenticationRequest.answer(verdict, to: frames)
    for (number, frame) in answer.enumerated() {
      while zmq_send(socket, frame, frame.count, number < answer.count - 1 ? ZMQ_SNDMORE : 0) < 0 {
        guard zmq_errno() == EINTR else { throw .last("authentication cannot answer") }
      }
    }
  }

  private func note(_ refusal: Refusal) {
    lock.withLock {
      refusalCount += 1
      if refusals.count < Self.keptRefusals, !refusals.contains(refusal) { refusals.append(refusal) }
    }
    waker.wake()
  }

  /// The frames of one request, or more or longer ones than a request has, cut there; nil if nothing has come.
  private func receive() throws(TransportError) -> [[UInt8]]? {
    var frames: [[UInt8]] = []
    while true {
      var message = zmq_msg_t()
      zmq_msg_init(&message)
      defer { zmq_msg_close(&message) }
      while zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0 {
        switch zmq_errno() {
        case EINTR: continue
        case EAGAIN: return nil
        default: throw .last("authentication cannot receive")
        }
      }
      if frames.count <= AuthenticationRequest.frameCount {
        let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))
        frames.append(Array(bytes.prefix(AuthenticationRequest.maximumFrameBytes + 1)))
      }
      if zmq_msg_more(&message) == 0 { return frames }
    }
  }
}

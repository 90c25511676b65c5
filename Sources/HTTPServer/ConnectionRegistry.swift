import NIOCore
import NIOHTTPTypes
import Synchronization

/// The open connections of a server. Where there are many, those go that nobody has used for the longest, so that
/// connections without a request keep nobody waiting.
final class ConnectionRegistry: Sendable {
  /// One connection, as its event loop sees it and others read it.
  final class Connection: Sendable {
    fileprivate let close: @Sendable () -> Void
    /// Nanoseconds after the registry began.
    fileprivate let lastUsed: Atomic<Int64>
    /// Requests that have come whole and whose answers have not gone out.
    fileprivate let answers = Atomic<Int>(0)

    fileprivate init(_ now: Int64, close: @escaping @Sendable () -> Void) {
      self.close = close
      lastUsed = Atomic(now)
    }
  }

  private let start = ContinuousClock.now
  private let most: Int
  private let connections = Mutex<[ObjectIdentifier: Connection]>([:])

  /// - Parameter most: from so many connections on, each new one ends one that is not in use
  init(most: Int) { self.most = most }

  /// - Parameter close: ends the connection
  func opened(close: @escaping @Sendable () -> Void) -> Connection {
    let connection = Connection(now, close: close)
    let unused = connections.withLock { connections -> Connection? in
      var oldest: Connection?
      if connections.count >= most {
        oldest = connections.values.filter { $0.answers.load(ordering: .relaxed) == 0 }.min {
          $0.lastUsed.load(ordering: .relaxed) < $1.lastUsed.load(ordering: .relaxed)
        }
      }
      if let oldest { connections[ObjectIdentifier(oldest)] = nil }
      connections[ObjectIdentifier(connection)] = connection
      return oldest
    }
    unused?.close()
    return connection
  }

  func closed(_ connection: Connection) {
    connections.withLock { $0[ObjectIdentifier(connection)] = nil }
  }

  /// Something of a request has come.
  ///
  /// - Parameter isWhole: whether nothing of it is to come any more
  func used(_ connection: Connection, isWhole: Bool) {
    connection.lastUsed.store(now, ordering: .relaxed)
    if isWhole { connection.answers.add(1, ordering: .relaxed) }
  }

  /// An answer has gone out; it may have done so before its request was whole.
  func answered(_ connection: Connection) {
    connection.lastUsed.store(now, ordering: .relaxed)
    if connection.answers.load(ordering: .relaxed) > 0 { connection.answers.subtract(1, ordering: .relaxed) }
  }

  private var now: Int64 {
    let time = (ContinuousClock.now - start).components
    return time.seconds * 1_000_000_000 + time.attoseconds / 1_000_000_000
  }
}

/// Tells the registry of one connection.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let registry: ConnectionRegistry
  private var connection: ConnectionRegistry.Connection?

  init(_ registry: ConnectionRegistry) { self.registry = registry }

  func handlerAdded(context: ChannelHandlerContext) {
    guard connection == nil else { return }
    let connection = registry.opened { [channel = context.channel] in channel.close(promise: nil) }
    self.connection = connection
    context.channel.closeFuture.whenComplete { [registry] _ in registry.closed(connection) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if let connection {
      var isWhole = false
      if case .end = unwrapInboundIn(data) { isWhole = true }
      registry.used(connection, isWhole: isWhole)
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if let connection, case .end = unwrapOutboundIn(data) { registry.answered(connection) }
    context.write(data, promise: promise)
  }
}

@available(*, unavailable)
extension ConnectionWatch: Sendable {}

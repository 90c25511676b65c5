import HTTPTypes
import NIOCore

/// Answers a request that comes again in the very same bytes, as those of an open page do, without reading them as HTTP again:
/// to take a request apart and put its answer's head together costs more than all the rest of an early answer.
///
/// It stands before all other handlers of the connection, and learns from `EarlyAnswers`, behind them, which bytes were one
/// whole request. Whether the request is let in, and what it is answered, is asked anew each time.
final class RepeatedRequests: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private struct Known {
    let bytes: ByteBuffer
    let request: HTTPRequest
  }

  private let answers: EarlyAnswers
  private var known: [Known] = []
  /// When the handlers behind have seen a request last.
  private var seen = NIODeadline.now()
  /// Whether the next byte begins a request.
  private var isBetweenRequests = true
  /// Requests that are known at a time; the oldest is forgotten.
  private static let most = 8
  private static let mostBytes = 4096
  /// Where the buffers before it are in use, a new one would shrink to 64 bytes, and few requests are as short.
  private static let reading = AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 4096, maximum: 65_536)
  /// The handlers behind see a request at least so often, for they end connections that nobody uses.
  private static let unseen = TimeAmount.seconds(1)

  init(_ answers: EarlyAnswers) { self.answers = answers }

  func handlerAdded(context: ChannelHandlerContext) {
    context.channel.setOption(.recvAllocator, value: Self.reading).whenComplete { _ in }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = unwrapInboundIn(data)
    let begins = isBetweenRequests
    if begins, let request = known(bytes), let answer = answers.answer(to: request, on: context.channel) {
      return send(answer, context)
    }
    seen = .now()
    answers.beginReading()
    context.fireChannelRead(data)
    // A part of a request that ended so would be whole: RFC 9112, 2.1.
    isBetweenRequests =
      answers.isBetweenRequests && bytes.readableBytesView.suffix(4).elementsEqual("\r\n\r\n".utf8)
    if begins, isBetweenRequests, let request = answers.onlyOne, Self.isKept(bytes) { learn(bytes, request) }
  }

  private func known(_ bytes: ByteBuffer) -> HTTPRequest? {
    guard let known = known.first(where: { $0.bytes == bytes }), .now() - seen < Self.unseen else {
      return nil
    }
    return known.request
  }

  private func learn(_ bytes: ByteBuffer, _ request: HTTPRequest) {
    guard !known.contains(where: { $0.bytes == bytes }) else { return }
    if known.count == Self.most { known.removeFirst() }
    // A copy: what was read into has more room than the request needs.
    known.append(Known(bytes: ByteBuffer(bytes: bytes.readableBytesView), request: request))
  }

  /// Whether bytes are of a usual length, and of HTTP/1.1, by which a connection lasts.
  private static func isKept(_ bytes: ByteBuffer) -> Bool {
    bytes.readableBytes <= mostBytes
      && bytes.readableBytesView.prefix { $0 != UInt8(ascii: "\r") }.suffix(9).elementsEqual(" HTTP/1.1".utf8)
  }

  private func send(_ answer: EarlyAnswer, _ context: ChannelHandlerContext) {
    let own = answers.ownFields(of: answer)
    var head = context.channel.allocator.buffer(capacity: answer.headers.lines.readableBytes + 256)
    head.writeString("HTTP/1.1 200 OK\r\n")
    head.writeImmutableBuffer(answer.headers.lines)
    for (name, value) in own { head.writeString("\(name.rawName): \(value)\r\n") }
    head.writeString("\r\n")
    context.write(wrapOutboundOut(head), promise: nil)
    context.writeAndFlush(wrapOutboundOut(answer.body), promise: nil)
  }
}

@available(*, unavailable)
extension RepeatedRequests: Sendable {}

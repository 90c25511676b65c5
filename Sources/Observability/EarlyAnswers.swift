import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// An answer that is there already, when its request comes.
package struct EarlyAnswer: Sendable {
  /// Without `Content-Length`, `Date` and `Server`, which are added.
  package let headers: HTTPFields
  package let body: ByteBuffer

  package init(headers: HTTPFields, body: ByteBuffer) { (self.headers, self.body) = (headers, body) }
}

/// Answers on the connection itself what can be answered at once. A page that is open asks all the time how a run stands, and
/// for such a request a task, a route and the ways into and out of them cost several times what the answer does.
final class EarlyAnswers: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// The answer to a request from an address, if there is one that this address may have.
  typealias Find = @Sendable (_ request: HTTPRequest, _ address: String) -> EarlyAnswer?

  private let find: Find
  private let serverName: String
  private var address = "?"
  /// Requests that went on to the server and are not answered yet: no answer may overtake theirs.
  private var others = 0
  /// The answer to the request whose end is still to come.
  private var next: EarlyAnswer?
  private var clock = HTTPClock()

  init(serverName: String, find: @escaping Find) { (self.serverName, self.find) = (serverName, find) }

  func handlerAdded(context: ChannelHandlerContext) {
    address = context.channel.remoteAddress?.ipAddress ?? "?"
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let request):
      // Whoever asks and does not read is for the server, which waits until they do.
      if others == 0, context.channel.isWritable, Self.isPlain(request) { next = find(request, address) }
      if next != nil { return }
      others += 1
    case .body: if next != nil { return }
    case .end:
      if let answer = next {
        next = nil
        return send(answer, context)
      }
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if case .end = unwrapOutboundIn(data) { others -= 1 }
    context.write(data, promise: promise)
  }

  /// Whether a request has no body and wants nothing of its connection.
  private static func isPlain(_ request: HTTPRequest) -> Bool {
    request.method == .get
      && request.headerFields.allSatisfy { field in
        switch field.name {
        case .contentLength, .transferEncoding, .expect, .upgrade: false
        case .connection: field.value.lowercased() == "keep-alive"
        default: true
        }
      }
  }

  private func send(_ answer: EarlyAnswer, _ context: ChannelHandlerContext) {
    var head = HTTPResponse(status: .ok, headerFields: answer.headers)
    head.headerFields[.contentLength] = String(answer.body.readableBytes)
    head.headerFields[.date] = clock.text
    head.headerFields[.server] = serverName
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(answer.body)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }
}

@available(*, unavailable)
extension EarlyAnswers: Sendable {}

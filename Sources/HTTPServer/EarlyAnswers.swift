import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// An answer that is there already, when its request comes.
package struct EarlyAnswer: Sendable {
  /// What is said before the body, without `Content-Length`, `Date` and `Server`, which are added.
  package struct Headers: Sendable {
    let fields: HTTPFields
    /// The same as they are sent.
    let lines: ByteBuffer

    package init(_ fields: HTTPFields) {
      self.fields = fields
      lines = ByteBuffer(string: fields.map { "\($0.name.rawName): \($0.value)\r\n" }.joined())
    }
  }

  package let headers: Headers
  package let body: ByteBuffer

  package init(headers: Headers, body: ByteBuffer) { (self.headers, self.body) = (headers, body) }
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
  /// The request whose end is still to come, and its answer.
  private var next: (request: HTTPRequest, answer: EarlyAnswer)?
  private var clock = HTTPClock()
  /// Whether the end of a request was the last that came of any.
  private(set) var isBetweenRequests = true
  /// Requests that have begun in what is being read, and the last one that was answered here.
  private var begun = 0
  private var answered: HTTPRequest?

  init(serverName: String, find: @escaping Find) { (self.serverName, self.find) = (serverName, find) }

  func handlerAdded(context: ChannelHandlerContext) {
    address = context.channel.remoteAddress?.ipAddress ?? "?"
    // Where it cannot be added, the connection is on its way to an end.
    try? context.pipeline.syncOperations.addHandler(RepeatedRequests(self), position: .first)
  }

  /// Bytes have come whose requests are seen here next.
  func beginReading() { (begun, answered) = (0, nil) }

  /// The request in the bytes, if it was the only one, and was answered here.
  var onlyOne: HTTPRequest? { begun == 1 ? answered : nil }

  /// The answer to a request that has no body, if it can be given now.
  func answer(to request: HTTPRequest, on channel: any Channel) -> EarlyAnswer? {
    // Whoever asks and does not read is for the server, which waits until they do.
    others == 0 && channel.isWritable ? find(request, address) : nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let request):
      begun += 1
      isBetweenRequests = false
      if Self.isPlain(request), let answer = answer(to: request, on: context.channel) {
        next = (request, answer)
        return
      }
      others += 1
    case .body: if next != nil { return }
    case .end:
      isBetweenRequests = true
      if let (request, answer) = next {
        (next, answered) = (nil, request)
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
    var head = HTTPResponse(status: .ok, headerFields: answer.headers.fields)
    for (name, value) in ownFields(of: answer) { head.headerFields[name] = value }
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(answer.body)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }

  /// What is said before the body, beside the answer's own.
  func ownFields(of answer: EarlyAnswer) -> [(name: HTTPField.Name, value: String)] {
    [
      (.contentLength, String(answer.body.readableBytes)), (.date, clock.text), (.server, serverName),
    ]
  }
}

@available(*, unavailable)
extension EarlyAnswers: Sendable {}

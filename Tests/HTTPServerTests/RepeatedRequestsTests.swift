import HTTPTypes
import Harness
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import HTTPServer

extension ServerTests {
  /// What is answered without being read as HTTP again. Each test has a connection whose requests come one by one.
  @Suite struct RepeatedRequestsTests {
    /// Requests that have come through to the handlers behind: those that were read as HTTP.
    private final class Seen: ChannelInboundHandler, Sendable {
      typealias InboundIn = HTTPRequestPart
      let count = Atomic(0)

      func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = unwrapInboundIn(data) { count.add(1, ordering: .relaxed) }
        context.fireChannelRead(data)
      }
    }

    /// What requests are answered by a server that knows everything below `/known`, and how many of them it has read.
    private func ask(
      _ requests: [String], isLetIn: @escaping @Sendable (HTTPRequest) -> Bool = { _ in true }
    ) throws -> (answers: [HTTPAnswer], read: Int) {
      let seen = Seen()
      let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
      defer { try? loops.syncShutdownGracefully() }
      let server = try ServerBootstrap(group: loops).childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try Self.add(to: channel, seen, isLetIn: isLetIn) }
      }.bind(host: "127.0.0.1", port: 0).wait()
      let answers = try askInTurn(server.localAddress?.port ?? 0, requests)
      return (answers, seen.count.load(ordering: .relaxed))
    }

    /// The bodies of answers without a socket, where each part of a request is read as it is given, and no time passes.
    private func ask(parts: [[String]]) throws -> [Substring] {
      let channel = EmbeddedChannel()
      defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
      try Self.add(to: channel, Seen()) { _ in true }
      return try parts.map { parts in
        for part in parts { try channel.writeInbound(ByteBuffer(string: part)) }
        var answer = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { answer += String(buffer: bytes) }
        return answer.firstRange(of: "\r\n\r\n").map { answer[$0.upperBound...] } ?? "no answer"
      }
    }

    private static func add(
      to channel: any Channel, _ seen: Seen, isLetIn: @escaping @Sendable (HTTPRequest) -> Bool
    ) throws {
      let pipeline = channel.pipeline.syncOperations
      try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: false)
      try pipeline.addHandlers([HTTP1ToHTTPServerCodec(secure: false), seen])
      try pipeline.addHandler(
        EarlyAnswers(serverName: "test") { request, _ in
          guard isLetIn(request), let path = request.path, path.hasPrefix("/known") else { return nil }
          return EarlyAnswer(
            headers: .init([.contentType: "text/plain", .cacheControl: "no-store"]),
            body: ByteBuffer(string: "of \(path)"))
        })
      try pipeline.addHandler(Late())
    }

    /// Stands for the server behind: it answers what comes to it, and 404, and keeps all bodies, and with them what they were
    /// read into.
    private final class Late: ChannelInboundHandler {
      typealias InboundIn = HTTPRequestPart
      typealias OutboundOut = HTTPResponsePart
      private var bodies: [ByteBuffer] = []

      func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        if case .body(let body) = part { bodies.append(body) }
        guard case .end = part else { return }
        let head = HTTPResponse(status: .notFound, headerFields: [.contentLength: "4"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(string: "late"))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      }
    }

    private func request(_ path: String, _ lines: String...) -> String {
      (["GET \(path) HTTP/1.1", "Host: a"] + lines + ["", ""]).joined(separator: "\r\n")
    }

    @Test func whatComesAgainIsNotReadAgain() throws {
      let (answers, read) = try ask(Array(repeating: request("/known"), count: 40))
      #expect(answers.map(\.body) == Array(repeating: "of /known", count: 40))
      // A second later the handlers behind see the next, but not every one.
      #expect(read < 40)
    }

    /// Of the answer that is put together by the HTTP library, and of those after it.
    @Test func everyAnswerIsTheSame() throws {
      let (answers, _) = try ask(Array(repeating: request("/known?a=1", "Cookie: b"), count: 3))
      let heads = Set(answers.map { $0.head.replacing(#/Date: [^\r]*/#, with: "Date") })
      #expect(
        heads == [
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 13\r\nDate\r\n"
            + "Server: test"
        ])
    }

    @Test func anyOtherByteIsAnotherRequest() throws {
      let (answers, read) = try ask([
        request("/known/1"), request("/known/2"), request("/known/1", "Accept: a"),
        request("/known/1", "Accept: b"),
      ])
      #expect(answers.map(\.body) == ["of /known/1", "of /known/2", "of /known/1", "of /known/1"])
      #expect(read == 4)
    }

    /// Whether somebody is let in is asked each time.
    @Test func whoIsLetInNoMoreIsNotAnswered() throws {
      let asked = Atomic(0)
      let known = request("/known")
      let (answers, _) = try ask([known, known, known]) { _ in
        asked.add(1, ordering: .relaxed).newValue < 3
      }
      #expect(answers.map(\.body) == ["of /known", "of /known", "late"])
    }

    /// A buffer that is as long as the last requests were would take a longer one in parts; one is made where those before it
    /// are in use.
    @Test func aLongerRequestAfterShortOnesIsReadAtOnce() throws {
      let long = request("/known", "Cookie: " + String(repeating: "b", count: 1000))
      // A body that ends as a head does, for after any other nothing is taken for a whole request.
      let short = request("/other", "Content-Length: 4") + "\r\n\r\n"
      let some = Array(repeating: short, count: 12) + [long]
      let start = ContinuousClock.now
      let (answers, read) = try ask((0..<10).flatMap { _ in some })
      #expect(answers.filter { $0.body == "of /known" }.count == 10)
      // Beside the short ones the first, and one a second: all 10 long ones would be read, if they came in parts.
      #expect(read - 120 <= 2 + (ContinuousClock.now - start).components.seconds)
    }

    /// A head that comes in parts, bodies, and what looks like a request and is none: all are read as HTTP, and what follows is.
    @Test(arguments: [
      ["GET /other HTTP/1.1\r\nHost: a\r\n\r\n"], ["GET /oth", "er HTTP/1.1\r\nHost: a\r\n\r\n"],
      [
        "POST /known HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n",
        "GET /known HTTP/1.1\r\nHost: a\r\n\r\n",
      ],
      [
        "GET /known HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n",
        "GET /known HTTP/1.1\r\nHost: a\r\n\r\n",
      ],
      ["GET /other HTTP/1.1\r\nHost: a\r\nX: ", "GET /known HTTP/1.1\r\nHost: a\r\n\r\n"],
    ])
    func whatIsNoRequestByItselfIsReadAsHTTP(_ other: [String]) throws {
      let known = request("/known")
      let answers = try ask(parts: [[known], [known], other, [known], [known]])
      #expect(answers == ["of /known", "of /known", "late", "of /known", "of /known"])
    }
  }
}

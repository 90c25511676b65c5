import Hummingbird
import JSON
import NIOCore
import Service
import ServiceLifecycle
import Synchronization

/// `GET /nested-learning/events`: how the run at work stands, again whenever that changes, as server-sent events.
final class EventRoute: Sendable {
  private let status: RunStatus
  private let streams = Atomic(0)
  static let mostStreams = 64
  private static let pause = TimeAmount.seconds(1)
  /// When streams look again. They do so together, so that the program is woken, and a look at the disk taken, once for all.
  private let next = Mutex(NIODeadline.now())
  /// Those who wait for a look that is being taken, by the run that it is at.
  private let waiting = Mutex<[String: [CheckedContinuation<String, Never>]]>([:])
  /// So many pauses without news, and a line says that the stream is alive.
  private static let silent = 15

  init(_ status: RunStatus) { self.status = status }

  var route: Route {
    Route(.get, "/nested-learning/events") { [self] asked in
      let name = asked.query("experiment")
      if let name, !PathPolicy.isName(name) {
        throw RunRequestError(.unknown, "there is no run of that name", field: "experiment")
      }
      guard streams.load(ordering: .relaxed) < Self.mostStreams else {
        throw RunRequestError(
          .tooMany, "\(Self.mostStreams) streams are open", hint: "ask for the status instead")
      }
      return Response(
        status: .ok, headers: [.contentType: "text/event-stream"],
        body: ResponseBody { writer in
          self.streams.add(1, ordering: .relaxed)
          defer { self.streams.subtract(1, ordering: .relaxed) }
          try await self.send(name, to: &writer, on: asked.context.channel.eventLoop)
          try await writer.finish(nil)
        })
    }
  }

  private func news(_ name: String?) async -> String {
    if let news = status.freshNews(of: name) { return news }
    let key = name ?? ""
    return await withCheckedContinuation { continuation in
      let isFirst = waiting.withLock { waiting in
        waiting[key, default: []].append(continuation)
        return waiting[key]?.count == 1
      }
      guard isFirst else { return }
      Disk.start { [self] in
        let news = (try? status.news(of: name)) ?? "{}"
        for continuation in waiting.withLock({ $0.removeValue(forKey: key) }) ?? [] {
          continuation.resume(returning: news)
        }
      }
    }
  }

  /// - Parameter loop: whose thread answers anyway, so that to wait on it wakes no other
  private func send(
    _ name: String?, to writer: inout any ResponseBodyWriter, on loop: any EventLoop
  ) async throws {
    var (last, quiet) = ("", 0)
    while !Task.isShuttingDownGracefully {
      let text = await news(name)
      quiet = text == last ? quiet + 1 : 0
      if text != last {
        try await writer.write(ByteBuffer(string: "event: status\ndata: \(text)\n\n"))
      } else if quiet % Self.silent == 0 {
        try await writer.write(ByteBuffer(string: ": nothing new\n\n"))
      }
      last = text
      try await loop.scheduleTask(deadline: nextLook()) {}.futureResult.get()
      try Task.checkCancellation()
    }
  }

  private func nextLook() -> NIODeadline {
    let now = NIODeadline.now()
    return next.withLock { next in
      if next <= now { next = max(next + Self.pause, now) }
      return next
    }
  }
}

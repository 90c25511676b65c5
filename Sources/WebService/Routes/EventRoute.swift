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
  private static let pause = Duration.seconds(1)
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
          try await self.send(name, to: &writer)
          try await writer.finish(nil)
        })
    }
  }

  private func news(_ name: String?) async throws -> String {
    if let news = status.freshNews(of: name) { return news }
    return try await Disk.run { (try? self.status.news(of: name)) ?? "{}" }
  }

  private func send(_ name: String?, to writer: inout any ResponseBodyWriter) async throws {
    var (last, quiet) = ("", 0)
    while !Task.isShuttingDownGracefully {
      let text = try await news(name)
      quiet = text == last ? quiet + 1 : 0
      if text != last {
        try await writer.write(ByteBuffer(string: "event: status\ndata: \(text)\n\n"))
      } else if quiet % Self.silent == 0 {
        try await writer.write(ByteBuffer(string: ": nothing new\n\n"))
      }
      last = text
      try await Task.sleep(for: Self.pause)
    }
  }
}

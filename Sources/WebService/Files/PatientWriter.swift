import Hummingbird
import NIOCore
import Synchronization

/// Ends the connection of a client that has stopped taking what it asked for, while others wait for their turn.
final class SendingPatience: Sendable {
  private let sent = Atomic(0)
  private let isOver = Atomic(false)
  private let channel: any Channel
  /// So long nothing may be taken: that of one look, and less than that of two.
  private static let look = TimeAmount.seconds(60)

  init(_ channel: any Channel) {
    self.channel = channel
    watch(since: 0)
  }

  /// One more piece has been taken.
  func moved() { sent.add(1, ordering: .relaxed) }

  /// All has been sent, or nobody wants it.
  func end() { isOver.store(true, ordering: .relaxed) }

  private func watch(since before: Int) {
    _ = channel.eventLoop.scheduleTask(in: Self.look) { [weak self] in
      guard let self, !isOver.load(ordering: .relaxed) else { return }
      let now = sent.load(ordering: .relaxed)
      if now == before { channel.close(promise: nil) } else { watch(since: now) }
    }
  }
}

/// Writes a body, and says of each piece that it has been taken.
struct PatientWriter: ResponseBodyWriter {
  var writer: any ResponseBodyWriter
  let patience: SendingPatience

  mutating func write(_ buffer: ByteBuffer) async throws {
    try await writer.write(buffer)
    patience.moved()
  }

  consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
    try await writer.finish(trailingHeaders)
  }
}

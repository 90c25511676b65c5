import Hummingbird
import NIOCore

/// Writes a body, and has something done before its last piece goes out: who has all of it may go on at once.
struct LastPieceWriter: ResponseBodyWriter {
  private var writer: any ResponseBodyWriter
  /// That have not come yet.
  private var bytes: Int
  private let beforeTheLast: @Sendable () async -> Void

  /// - Parameter bytes: of the whole body
  init(
    writer: any ResponseBodyWriter, bytes: Int, beforeTheLast: @escaping @Sendable () async -> Void
  ) {
    (self.writer, self.bytes, self.beforeTheLast) = (writer, bytes, beforeTheLast)
  }

  mutating func write(_ buffer: ByteBuffer) async throws {
    bytes -= buffer.readableBytes
    if bytes == 0 { await beforeTheLast() }
    try await writer.write(buffer)
  }

  consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
    try await writer.finish(trailingHeaders)
  }
}

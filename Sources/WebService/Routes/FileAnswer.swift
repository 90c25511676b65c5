import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Service

/// A file that is saved by who asks for it, read piece by piece as it is sent.
enum FileAnswer {
  private static let piece = 1 << 20

  static func response(_ path: String, name: String) throws -> Response {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw RunRequestError(.unknown, "\(name) cannot be read", field: "file")
    }
    let size = Int(try handle.seekToEnd())
    try handle.seek(toOffset: 0)
    let plain = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    return Response(
      status: .ok,
      headers: [
        .contentType: "application/octet-stream", .contentDisposition: "attachment; filename=\"\(plain)\"",
      ],
      body: ResponseBody(contentLength: size) { writer in
        var left = size
        while left > 0 {
          let wanted = min(left, piece)
          let bytes = try await Disk.run { try handle.read(upToCount: wanted) ?? Data() }
          // A file that has become shorter meanwhile: the length that was announced cannot be kept.
          guard !bytes.isEmpty else { break }
          left -= bytes.count
          try await writer.write(ByteBuffer(bytes: bytes))
        }
        try await writer.finish(nil)
      })
  }
}

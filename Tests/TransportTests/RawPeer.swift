import Foundation
import Harness

/// A peer that speaks ZMTP 3.0 (RFC 23) over a plain connection, so that it can send what no ZeroMQ socket would: the
/// parts of messages that never end.
final class RawPeer {
  private let descriptor: Int32
  /// Bytes that the other side's system has taken.
  private(set) var sentBytes = 0

  /// - Returns: nil if nobody listens there.
  init?(port: Int) {
    guard let descriptor = connected(to: port) else { return nil }
    self.descriptor = descriptor
    var seconds = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &seconds, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &seconds, socklen_t(MemoryLayout<timeval>.size))
    let signature: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F]
    let mechanism = Array("NULL".utf8)
    _ = put(signature + [3, 0] + mechanism + [UInt8](repeating: 0, count: 20 - mechanism.count + 32))
    let ready =
      [5] + Array("READY".utf8) + [11] + Array("Socket-Type".utf8) + [0, 0, 0, 6] + Array("DEALER".utf8)
    _ = put([4, UInt8(ready.count)] + ready)
    // Nothing else may be sent before the other side is ready, too: a greeting of 64 bytes, and its command.
    _ = take(64)
    if let head = take(2) { _ = take(Int(head[1])) }
  }

  deinit { close(descriptor) }

  /// The next bytes; nil if they do not come.
  private func take(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count ? bytes : nil
  }

  /// Sends a frame; false if the connection has been ended.
  func send(_ frame: [UInt8], more: Bool) -> Bool {
    let length = withUnsafeBytes(of: UInt64(frame.count).bigEndian) { Array($0) }
    return put([more ? 3 : 2] + length + frame)
  }

  func send(_ frames: [[UInt8]]) -> Bool {
    frames.enumerated().allSatisfy { send($1, more: $0 < frames.count - 1) }
  }

  private func put(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sentBytes += count
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Whether the other side ends the connection within 30 s.
  func isEnded() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 { return true }
      if count < 0 { return errno != EAGAIN && errno != EINTR }
    }
  }
}

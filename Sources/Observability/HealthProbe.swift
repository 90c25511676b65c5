import Foundation

/// Asks a program on this machine how it is, as a container's health check does: a request by hand, since an image has
/// no other HTTP client.
public enum HealthProbe {
  /// - Parameters:
  ///   - path: `/healthz` or `/readyz`
  ///   - seconds: how long the answer may take
  /// - Returns: whether the answer was 200, and its line.
  /// - Throws: `OperationsError` if there is no answer.
  public static func ask(port: UInt16, path: String, seconds: Int = 5) throws -> Health.Answer {
    let descriptor = socket(AF_INET, streamType, 0)
    guard descriptor >= 0 else { throw failure("no socket could be made") }
    defer { close(descriptor) }
    var patience = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
    }
    try connect(descriptor, port)
    try send(descriptor, "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    return try answer(receive(descriptor))
  }

  private static var streamType: Int32 {
    #if canImport(Glibc)
      Int32(SOCK_STREAM.rawValue)
    #else
      SOCK_STREAM
    #endif
  }

  private static func connect(_ descriptor: Int32, _ port: UInt16) throws {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Foundation.connect(descriptor, $0, size) }
    }
    guard result == 0 else { throw failure("nobody answers on 127.0.0.1:\(port)") }
  }

  private static func send(_ descriptor: Int32, _ request: String) throws {
    let bytes = Array(request.utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count else {
      throw failure("the question was not taken")
    }
  }

  /// At most 64 KiB, more than any answer about health has.
  private static func receive(_ descriptor: Int32) throws -> String {
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while all.count < 1 << 16 {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 { throw failure("the answer did not come") }
      if count == 0 { break }
      all += piece[..<count]
    }
    return String(decoding: all, as: UTF8.self)
  }

  static func answer(_ text: String) throws -> Health.Answer {
    let status = text.prefix { $0 != "\r\n" && $0 != "\n" }.split(separator: " ")
    guard status.count >= 2, status[0].hasPrefix("HTTP/1."), let code = Int(status[1]) else {
      throw OperationsError("what answers is no HTTP server")
    }
    let body = text.range(of: "\r\n\r\n").map { text[$0.upperBound...] } ?? ""
    let line = body.trimmingCharacters(in: .whitespacesAndNewlines)
    return Health.Answer(isGood: code == 200, reason: line.isEmpty ? "status \(code)" : line)
  }

  private static func failure(_ what: String) -> OperationsError {
    OperationsError("\(what): \(String(cString: strerror(errno)))")
  }
}

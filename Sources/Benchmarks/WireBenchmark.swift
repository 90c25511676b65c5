import Digests
import Foundation
import JSON
import Kernels
import Service
import Transport
import WireProtocol

/// How fast results travel: encoded, sent, received and checked by the real `Dealer` and `Router`, in one process, over
/// TCP and over ipc, beside plain sockets, plain copies, and the two checksums alone.
public struct WireBenchmark: Sendable {
  /// Bytes of a result's gradient.
  public let bytes: Int
  /// Bytes that may be under way; see `TransferSettings`.
  public var windowBytes = TransferSettings().windowBytes
  /// For how long each figure is measured; two messages at least.
  public var secondsPerFigure = 1.5

  /// - Parameter bytes: rounded down to whole values, of which there is at least one.
  public init(bytes: Int) { self.bytes = max(1, bytes / 4) * 4 }

  /// - Returns: `transports`, each with `gb_per_second` (one gradient's bytes count once), `plain_socket_gb_per_second`
  ///   and the fraction of it, processor seconds per GB of both ends together, and the median round trip of a PING;
  ///   and `limit` with the rates of one thread that copies, or computes CRC-32C or SHA-256.
  /// - Throws: `ServiceError` or `TransportError` if a socket cannot be used.
  public func run() throws -> JSONValue {
    let interruption = Interruption()
    let folder = try ScratchFolder(in: "/tmp")
    defer { folder.remove() }
    let copy = MemoryCopy.bytesPerSecond(copying: bytes, seconds: secondsPerFigure / 4)
    let reports = try [("tcp://127.0.0.1:0", PlainSocket.Transport.tcp), ("ipc://\(folder.path)/wire", .ipc)]
      .map { endpoint, transport in try report(endpoint, transport, copy: copy, interruption) }
    return [
      "megabytes": .number(Double(bytes) / 1e6), "chunk_bytes": .number(WireLimits.chunkBytes),
      "window_bytes": .number(windowBytes), "transports": .array(reports),
      "limit": [
        "memory_copy_gb_per_second": .number(copy * 1e-9),
        "crc32c_gb_per_second": .number(rate { nl_crc32c(0, $0.baseAddress, $0.count) } * 1e-9),
        "sha256_gb_per_second": .number(rate { Digest.sha256($0) } * 1e-9),
      ],
    ]
  }

  private func report(
    _ endpoint: String, _ transport: PlainSocket.Transport, copy: Double, _ interruption: Interruption
  ) throws -> JSONValue {
    let plain = try PlainSocket.bytesPerSecond(transport, sending: bytes, seconds: secondsPerFigure / 4)
    let run = try WireRun(
      endpoint: endpoint, bytes: bytes, windowBytes: windowBytes, seconds: secondsPerFigure
    )
    .measure(interruption)
    let rate = Double(run.messages * bytes) / run.seconds
    return [
      "transport": .string(transport.rawValue), "messages": .number(run.messages),
      "seconds_per_message": .number(run.seconds / Double(run.messages)),
      "gb_per_second": .number(rate * 1e-9),
      "cpu_seconds_per_gb": .number(run.processorSeconds / Double(run.messages * bytes) * 1e9),
      "plain_socket_gb_per_second": .number(plain * 1e-9), "fraction_of_plain_socket": .number(rate / plain),
      "fraction_of_memory_copy": .number(rate / copy),
      "round_trip_microseconds": .number(run.roundTrips.median * 1e6),
    ]
  }

  /// Bytes a second that one thread takes in, out of more memory than caches hold.
  private func rate<Value>(_ work: (UnsafeRawBufferPointer) -> Value) -> Double {
    let pieces = max(1, (64 << 20) / max(1, bytes))
    let memory = [UInt8](repeating: 1, count: pieces * bytes)
    return memory.withUnsafeBytes { memory in
      let begin = MonotonicClock.now()
      var turns = 0
      while turns < 2 || MonotonicClock.now().seconds(since: begin) < secondsPerFigure / 4 {
        let start = turns % pieces * bytes
        _ = work(UnsafeRawBufferPointer(rebasing: memory[start..<start + bytes]))
        turns += 1
      }
      return Double(turns * bytes) / MonotonicClock.now().seconds(since: begin)
    }
  }
}

import CZeroMQ
import Foundation
import Harness

/// A ZeroMQ connection that sends whatever frames it is given, as no worker would.
final class RawDealer {
  private let context: UnsafeMutableRawPointer?
  private let socket: UnsafeMutableRawPointer?

  init(_ address: String) throws {
    context = zmq_ctx_new()
    socket = zmq_socket(context, ZMQ_DEALER)
    var linger: Int32 = 500
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
    guard zmq_connect(socket, address) == 0 else { throw HarnessError("cannot connect to \(address)") }
  }

  deinit {
    zmq_close(socket)
    zmq_ctx_term(context)
  }

  func send(_ frames: [[UInt8]]) {
    for (index, frame) in frames.enumerated() {
      zmq_send(socket, frame, frame.count, index == frames.count - 1 ? 0 : ZMQ_SNDMORE)
    }
  }

  /// The frames of the next message; nil if none comes in time.
  func receive(seconds: Double) -> [[UInt8]]? {
    var timeout = Int32(seconds * 1000)
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, MemoryLayout<Int32>.size)
    var frames: [[UInt8]] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = zmq_recv(socket, &buffer, buffer.count, 0)
      guard count >= 0 else { return nil }
      frames.append(Array(buffer.prefix(Int(count))))
      var more: Int32 = 0
      var size = MemoryLayout<Int32>.size
      zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size)
      if more == 0 { return frames }
    }
  }
}

/// Messages that break the rules of PROTOCOL.md, each in one way; made by hand, without the codec.
enum BadMessage: String, CaseIterable {
  case empty, wrongMagic, wrongMajor, wrongMinor, shortHeader, wrongHeaderChecksum, negativeBody,
    negativeObjects
  case negativeChunks, unknownType, wrongBodyChecksum, bodyIsNoJSON, oversizeFrame, tooManyFrames, noise

  var frames: [[UInt8]] {
    let body = Array("{}".utf8)
    switch self {
    case .empty: return [[]]
    case .wrongMagic: return message(prefix: Array("LN".utf8) + [1, 0])
    case .wrongMajor: return message(prefix: Array("NL".utf8) + [9, 0])
    case .wrongMinor: return message(prefix: Array("NL".utf8) + [1, 200])
    case .shortHeader: return [Self.prefix, [UInt8](repeating: 1, count: 63), body]
    case .wrongHeaderChecksum: return message { $0[63] ^= 1 }
    case .negativeBody: return message(bodyLength: 0xFFFF_FFFF)
    case .negativeObjects: return message(objects: 0xFFFF_FFFF)
    case .negativeChunks: return message(chunks: 0x8000_0000)
    case .unknownType: return message(type: 255)
    case .wrongBodyChecksum: return message(bodyChecksum: 1)
    case .bodyIsNoJSON: return message(body: [0xFF, 0xFE])
    case .oversizeFrame: return [Self.prefix, [UInt8](repeating: 0, count: 64 << 20)]
    case .tooManyFrames: return Array(repeating: [0], count: 5000)
    case .noise: return (0..<5).map { _ in (0..<300).map { _ in UInt8.random(in: 0...255) } }
    }
  }

  private static let prefix = Array("NL".utf8) + [1, 0]

  /// A HELLO, but for what is asked for.
  private func message(
    prefix: [UInt8] = prefix, type: UInt8 = 1, objects: UInt32 = 0, chunks: UInt32 = 0,
    body: [UInt8] = Array("{}".utf8), bodyLength: UInt32? = nil, bodyChecksum: UInt32? = nil,
    _ damage: (inout [UInt8]) -> Void = { _ in }
  ) -> [[UInt8]] {
    var header: [UInt8] = [type, 0, 0, 0] + bytes(objects)
    // Term, session and correlation are zero; this is message 1.
    header += [UInt8](repeating: 0, count: 24) + [1] + [UInt8](repeating: 0, count: 15)
    header += bytes(bodyLength ?? UInt32(body.count)) + bytes(chunks) + bytes(bodyChecksum ?? crc32c(body))
    header += bytes(crc32c(prefix + header))
    damage(&header)
    return [prefix, header, body]
  }

  private func bytes(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}

/// CRC-32C bit by bit, as RFC 3720 defines it.
private func crc32c(_ bytes: [UInt8]) -> UInt32 {
  var crc: UInt32 = 0xFFFF_FFFF
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
  }
  return ~crc
}

/// TCP connections that say nothing, or nothing that is ZeroMQ.
final class RawConnections {
  private var sockets: [Int32] = []

  /// Opens so many to `tcp://A.B.C.D:PORT`; every third sends noise, every third a part of ZeroMQ's greeting.
  init(_ count: Int, to address: String) throws {
    let parts = address.dropFirst("tcp://".count).split(separator: ":")
    guard parts.count == 2, let port = UInt16(parts[1]) else {
      throw HarnessError("\(address) is no address")
    }
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = port.bigEndian
    inet_pton(AF_INET, String(parts[0]), &target.sin_addr)
    for index in 0..<count {
      let one = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      sockets.append(one)
      let result = withUnsafePointer(to: &target) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(one, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      guard result == 0 else {
        throw HarnessError("connection \(index + 1): \(String(cString: strerror(errno)))")
      }
      let greeting: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3]
      switch index % 3 {
      case 0: send(one, (0..<100).map { _ in UInt8.random(in: 0...255) }, 100, Int32(MSG_NOSIGNAL))
      case 1: send(one, greeting, greeting.count, Int32(MSG_NOSIGNAL))
      default: break
      }
    }
  }

  deinit { for socket in sockets { close(socket) } }
}

import Files
import Foundation

/// Where the coordinator that works on a run can be asked, on its own machine: a file in the run folder with the
/// address of a socket that only its user can reach.
package enum CoordinatorAddress {
  package static func file(in folder: String) -> String { folder + "/coordinator" }

  /// Removes the socket, and its folder, of a coordinator of this run that was killed. To be called by the holder of the
  /// run's lock: nobody else is alive.
  package static func removeLeftOver(in folder: String) {
    guard let endpoint = read(in: folder) else { return }
    let socket = String(endpoint.dropFirst("ipc://".count))
    let parts = socket.split(separator: "/")
    guard parts.count == 3, parts[0] == "tmp", parts[1].hasPrefix("nl-"), !isListening(socket) else { return }
    unlink(socket)
    // Only if nothing else is in it.
    rmdir("/tmp/\(parts[1])")
  }

  /// - Parameter token: what says that whoever has it may read this file
  package static func write(_ endpoint: String, token: String, in folder: String) throws {
    try AtomicFile.write(Array((endpoint + "\n" + token + "\n").utf8), to: file(in: folder))
    chmod(file(in: folder), 0o600)
  }

  /// What the coordinator at work has written for those who may say what is done with the run.
  package static func token(in folder: String) -> String? { lines(in: folder)?.dropFirst().first }

  package static func remove(from folder: String) { unlink(file(in: folder)) }

  /// The address, if a coordinator listens there; nil if there is none, or it is gone or on another machine.
  package static func living(in folder: String) -> String? {
    guard let endpoint = read(in: folder), isListening(String(endpoint.dropFirst("ipc://".count))) else {
      return nil
    }
    return endpoint
  }

  private static func read(in folder: String) -> String? {
    guard let endpoint = lines(in: folder)?.first else { return nil }
    return endpoint.hasPrefix("ipc:///") ? endpoint : nil
  }

  private static func lines(in folder: String) -> [String]? {
    guard let bytes = try? AtomicFile.read(file(in: folder)), bytes.count < 400,
      let text = String(validating: bytes, as: UTF8.self)
    else { return nil }
    return text.split(separator: "\n").map(String.init)
  }

  /// A coordinator that was killed leaves its socket file, which nobody answers on.
  private static func isListening(_ path: String) -> Bool {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { buffer in
      guard path.utf8.count < buffer.count else { return false }
      buffer.copyBytes(from: path.utf8)
      return true
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard fits, descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
  }
}

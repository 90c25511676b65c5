import Foundation
import Transport

/// The coordinator's socket, bound before anything is written, so that a taken port leaves nothing behind.
struct Sockets {
  let router: Router
  let waker: Waker
  /// Where local workers connect: a socket file in a folder of this process's own.
  let localEndpoint: String
  let remoteEndpoint: String?
  private let folder: String

  init(_ options: RunOptions) throws {
    waker = try Waker()
    router = try Router(
      waker: waker, security: options.security, options: options.failpoints.transportOptions)
    if let listen = options.listen { remoteEndpoint = try router.bind(listen) } else { remoteEndpoint = nil }
    var template = Array("/tmp/nl-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw ServiceError("cannot make a folder in /tmp: \(String(cString: strerror(errno)))")
    }
    folder = String(cString: made)
    localEndpoint = try router.bind("ipc://\(folder)/coordinator")
  }

  func close() {
    router.close()
    try? FileManager.default.removeItem(atPath: folder)
  }
}

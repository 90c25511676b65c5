import Coordination
import Foundation
import JSON
import Transport
import WireProtocol

/// Asks a coordinator at work how its run stands.
public enum StatusClient {
  /// Any answer comes within a turn of the coordinator's loop.
  private static let seconds = 5.0

  /// - Parameter endpoint: `tcp://HOST:PORT` or `ipc://PATH`
  /// - Throws: `ServiceError` that says why there is no answer, and what helps.
  public static func ask(_ endpoint: String, security: ClientSecurity? = nil) throws -> LiveStatus {
    let dealer = try Dealer(connect: endpoint, waker: Waker(), security: security)
    defer { dealer.close(flushing: false) }
    try dealer.send(.status, term: 0, session: .none)
    let deadline = MonotonicClock.now() + seconds
    while MonotonicClock.now() < deadline {
      for case .success((_, .statusReply(let reply))) in try dealer.poll(timeout: 0.2) {
        return LiveStatus(json: reply.status)
      }
      if let failure = dealer.takeHandshakeFailure() { throw refusal(failure, endpoint, security) }
    }
    throw ServiceError(
      "no coordinator answered at \(endpoint) within \(Int(seconds)) s",
      remedy: "is it running, and is this the address that it says it listens on?")
  }

  private static func refusal(
    _ failure: HandshakeFailure, _ endpoint: String, _ security: ClientSecurity?
  ) -> ServiceError {
    switch failure {
    case .keyRefused:
      ServiceError(
        "the coordinator at \(endpoint) does not let this key in",
        remedy: "add its public key to the file of the coordinator's --allow-keys")
    case .keysOnOneSide, .notDecided, .brokenOff:
      ServiceError(
        "the coordinator at \(endpoint) broke off the handshake",
        remedy: security == nil
          ? "if it has keys, give --key and --server-key; see nl-tool keygen --help"
          : "is --server-key its public key, and does it have keys at all?")
    }
  }
}

extension StatusClient {
  /// Asks with the keys of two files, as a worker has them.
  public static func ask(_ endpoint: String, key: String, serverKey: String) throws -> LiveStatus {
    try ask(
      endpoint,
      security: ClientSecurity(
        secretKey: KeyFile.secretKey(path: key), serverKey: KeyFile.publicKey(serverKey)))
  }

  /// Asks the coordinator that works on the run in a folder; nil if there is none on this machine.
  public static func ask(folder: String) throws -> LiveStatus? {
    guard let endpoint = CoordinatorAddress.living(in: folder) else { return nil }
    // It may end just now; then the ledger has the last word.
    return try? ask(endpoint)
  }
}

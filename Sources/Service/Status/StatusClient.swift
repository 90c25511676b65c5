import Coordination
import Foundation
import JSON
import Transport
import WireProtocol

/// Asks a coordinator at work how its run stands.
public enum StatusClient {
  /// Any answer comes within a turn of the coordinator's loop.
  private static let seconds = 5.0

  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT` or `ipc://PATH`
  ///   - folder: of the run that is asked for; nil: the coordinator's only one, or its first
  /// - Throws: `ServiceError` that says why there is no answer, and what helps.
  public static func ask(
    _ endpoint: String, folder: String? = nil, security: ClientSecurity? = nil
  ) throws -> ShownStatus {
    ShownStatus(json: try send(.status(StatusRequest(folder: folder)), to: endpoint, security))
  }

  private static func send(
    _ message: Message, to endpoint: String, _ security: ClientSecurity? = nil
  ) throws -> JSONValue {
    let dealer = try Dealer(connect: endpoint, waker: Waker(), security: security)
    defer { dealer.close(flushing: false) }
    try dealer.send(message, of: .none, session: .none)
    let deadline = MonotonicClock.now() + seconds
    while MonotonicClock.now() < deadline {
      for case .success((_, let answer)) in try dealer.poll(timeout: 0.2) {
        switch answer {
        case .statusReply(let reply): return reply.status
        case .error(let error): throw ServiceError("the coordinator at \(endpoint): \(error.reason)")
        default: break
        }
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
  public static func ask(_ endpoint: String, key: String, serverKey: String) throws -> ShownStatus {
    try ask(
      endpoint,
      security: ClientSecurity(
        secretKey: KeyFile.secretKey(path: key), serverKey: KeyFile.publicKey(serverKey)))
  }

  /// Asks the coordinator that works on the run in a folder; nil if there is none on this machine.
  public static func ask(folder: String) throws -> ShownStatus? {
    guard let endpoint = CoordinatorAddress.living(in: folder) else { return nil }
    // It may end just now; then the ledger has the last word.
    return try? ask(endpoint, folder: FleetService.name(of: folder))
  }

  /// Has the coordinator that works on the run in a folder pause or resume it.
  ///
  /// - Returns: how the run stands just after it was told so; nil if no coordinator on this machine works on it.
  public static func tell(_ command: Control.Command, folder: String) throws -> ShownStatus? {
    guard let endpoint = CoordinatorAddress.living(in: folder) else { return nil }
    guard let token = CoordinatorAddress.token(in: folder) else {
      throw ServiceError(
        "\(CoordinatorAddress.file(in: folder)) has no token that this user may read",
        remedy: "be the user who began the run")
    }
    return ShownStatus(
      json: try send(
        .control(Control(command, folder: FleetService.name(of: folder), token: token)), to: endpoint))
  }
}

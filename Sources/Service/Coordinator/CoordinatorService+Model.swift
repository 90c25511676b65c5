import Coordination
import WireProtocol

/// The base model, for workers that do not have it.
extension CoordinatorService {
  /// A worker asks for the model's files; they are read elsewhere, and sent as they come.
  func serveModel(_ message: ModelMessage, to peer: PeerID, session: SessionID) throws {
    guard case .credit(let credit) = message else {
      return try handle(
        .peerLost(peer: peer, reason: "sent \(message.type.name), which only a coordinator does"))
    }
    let state = ModelFetchState(receivedBytes: credit.receivedBytes, totalBytes: modelBytes)
    try handle(.fetched(peer: peer, session: session, state))
    guard fleet.isMember(peer, session: session) else { return }
    guard modelFiles.ask(credit, peer: peer, session: session) else {
      return try handle(.peerLost(peer: peer, reason: "asked for more of the model at once than it may"))
    }
  }

  /// The files, and where what is read of them goes.
  func makeModelFileServer() -> ModelFileServer {
    let mailbox = mailbox
    return ModelFileServer(paths: ModelFiles.paths(of: plan.folder), sha256: plan.inputs.model) {
      mailbox.post(.forWorker($0, $1, $2))
    }
  }
}

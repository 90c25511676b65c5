import Coordination
import WireProtocol

/// The base model, for workers that do not have it.
extension RunDriver {
  /// The files, and where what is read of them goes.
  func makeModelFileServer() -> ModelFileServer {
    let (mailbox, number) = (service.mailbox, number)
    return ModelFileServer(paths: plan.modelFolder.map(ModelFiles.paths) ?? [], sha256: plan.modelSHA256) {
      mailbox.post(.forWorker(number, $0, $1, $2))
    }
  }
}

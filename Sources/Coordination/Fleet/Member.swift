import WireProtocol

/// A worker of the fleet: one connection with a session.
struct Member: Sendable {
  let id: Int
  let peer: PeerID
  let session: SessionID
  @Indirect private(set) var hello: Hello
  let owner: Owner
  let joined: Instant
  var lastHeard: Instant
  /// The run that it works on, and its number there; nil if it works on none.
  var place: (run: RunNumber, workerID: Int)?

  /// Whether it can compute what a run computes, and has its model or may fetch it.
  func fits(_ settings: SchedulerSettings) -> Bool { misfit(settings) == nil }

  /// Why a worker that says this can take no part in a run; nil if it can.
  static func misfit(_ hello: Hello, _ settings: SchedulerSettings) -> (RejectCode, String)? {
    if !hello.numericProfiles.contains(settings.numericProfile) {
      let own = hello.numericProfiles.map { "\"\($0)\"" }.joined(separator: " or ")
      return (
        .numericProfile,
        "its numeric profile is \(own) and the run's is \"\(settings.numericProfile)\"; "
          + "its gradients would have other bits"
      )
    }
    if let model = hello.modelSHA256, model != settings.modelSHA256 {
      return (
        .model,
        "its model folder is not the coordinator's base model: its SHA-256 is \(model), the run's is "
          + "\(settings.modelSHA256) (give the run's model with --model DIR, or leave --model out, and it is fetched from "
          + "the coordinator)"
      )
    }
    return nil
  }

  private func misfit(_ settings: SchedulerSettings) -> (RejectCode, String)? {
    Member.misfit(hello, settings)
  }
}

import WireProtocol

/// What can be seen of the fleet from outside.
extension FleetCore {
  /// How the work of a run stands; nil once it is over.
  public func status(of run: RunNumber) -> RunStatus? {
    var scheduler = runs[run]?.scheduler
    scheduler?.trust = trust
    return scheduler?.status
  }

  /// Whether a worker has this session on this connection.
  public func isMember(_ peer: PeerID, session: SessionID) -> Bool { self.session(of: peer) == session }

  /// Whether a connection is a worker's.
  public func isWorker(_ peer: PeerID) -> Bool { memberOfPeer[peer] != nil }

  /// The session that a worker has on a connection; nil if it is nobody's.
  public func session(of peer: PeerID) -> SessionID? { memberOfPeer[peer].flatMap { members[$0]?.session } }

  /// What a worker has said of itself; nil if the connection is nobody's.
  public func hello(of peer: PeerID) -> Hello? { memberOfPeer[peer].flatMap { members[$0]?.hello } }

  /// As whom a worker is known: by its key, else by its host and process; nil if the connection is nobody's.
  public func identity(of peer: PeerID) -> String? {
    memberOfPeer[peer].flatMap { members[$0]?.owner.identity }
  }

  /// The run that a worker works on.
  public func run(of peer: PeerID) -> RunNumber? { memberOfPeer[peer].flatMap { members[$0]?.place?.run } }

  /// Whether anybody could compute a run's shards now.
  public func hasUsableWorkers(_ run: RunNumber) -> Bool { runs[run]?.scheduler.hasUsableWorkers ?? false }
}

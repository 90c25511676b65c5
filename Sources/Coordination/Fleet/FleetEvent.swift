import WireProtocol

/// Everything that can happen to a fleet.
public enum FleetEvent: Sendable {
  /// HELLO came. `key` is the public key that the connection was let in with, if it has one.
  case hello(peer: PeerID, Hello, key: String? = nil)
  /// Something came that is about a run, in this session.
  case reported(peer: PeerID, session: SessionID, work: RunTerm, WorkerReport)
  /// Anything else came that needs no answer by the core (PING and the like). The other events count as a sign of life
  /// by themselves.
  case heard(peer: PeerID, session: SessionID)
  /// More than small messages has come from a worker, whole or not: a sign of life, and progress as far as its lease goes.
  /// Over a slow connection a long message takes longer than a worker may be silent.
  case arriving(peer: PeerID)
  /// As much of what was sent to a worker has reached its machine, which is progress alone.
  case leaving(peer: PeerID)
  /// The connection is gone, a message could not be delivered or was refused, or the local process died.
  case peerLost(peer: PeerID, reason: String)
  /// GOODBYE or DRAINED came.
  case goodbye(peer: PeerID, session: SessionID)

  /// A run wants workers from now on; its number is one that no run has had before.
  case begin(RunNumber, SchedulerSettings)
  /// What a run wants of its workers.
  case requested(RunNumber, RunRequest)
  /// A run rests: its workers are free for others. Or it goes on.
  case rest(RunNumber, Bool)

  /// Whether runs are to begin that are not known yet: whoever fits none of the present ones may fit them, and stays.
  case expectsRuns(Bool)

  /// Send all workers away, once no run is left; `closed` follows in bounded time.
  case close
  /// The time that was asked for by `armTimer` has come (an early or extra one does no harm). To be said after the
  /// messages that have come meanwhile, so that nobody who was only waiting to be read is taken for silent.
  case timer
}

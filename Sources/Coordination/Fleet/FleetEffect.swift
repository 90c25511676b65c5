import WireProtocol

/// What is to be done for a fleet, in this order.
public enum FleetEffect: Sendable, Equatable {
  /// What is to be done for one run.
  case work(RunNumber, SchedulerEffect)
  /// A worker was admitted, with this HELLO: answer WELCOME in this session.
  case welcome(peer: PeerID, session: SessionID, memberID: Int, Hello)
  /// Answer REJECT; the peer is not known from now on.
  case reject(peer: PeerID, code: RejectCode, reason: String)
  /// Send LEAVE_RUN.
  case leaveRun(peer: PeerID, session: SessionID, RunNumber)
  /// Send DRAIN.
  case sendDrain(peer: PeerID, session: SessionID)
  /// A worker is gone, for this reason. With a `localIndex`, our own process of that number is to be ended if it still
  /// runs, and may be started again.
  case memberLeft(memberID: Int, peer: PeerID, localIndex: Int?, reason: String)
  /// Worth a line in the log.
  case log(String)
  /// After `close`: all workers are gone, or their time is over.
  case closed
  /// Send `timer` at this time; replaces the time given before. `never`: no timer is needed.
  case armTimer(Instant)
}

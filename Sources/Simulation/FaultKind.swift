/// What a simulation breaks.
public enum FaultKind: String, Sendable, CaseIterable, Comparable {
  // Workers.
  /// SIGKILL; nobody is told.
  case workerKilled = "worker killed"
  /// SIGSTOP, and SIGCONT later.
  case workerFrozen = "worker frozen"
  /// The arithmetic does not get on; the socket's thread does.
  case workerHung = "worker hung"
  /// Computes eight times slower.
  case workerSlow = "worker slow"
  /// SIGTERM.
  case workerLeaves = "worker leaves"
  /// A shard cannot be computed.
  case computeError = "compute error"
  /// No shard can be computed on this machine.
  case failingMachine = "failing machine"
  /// Takes a shard, says GOODBYE, and joins again at once, over and over.
  case leavesWithShard = "leaves with a shard"
  /// Joins in the middle of the run.
  case lateJoiner = "late joiner"
  /// Has another numeric profile.
  case stranger
  /// Its arithmetic gives other bits.
  case unsoundMachine = "unsound machine"
  /// A shard comes with another gradient or loss.
  case wrongResult = "wrong result"
  /// A chain of a window is not what the gradients in it add up to.
  case wrongChain = "wrong chain"
  /// A gradient or loss is not a number.
  case resultNotFinite = "result not finite"

  /// The owner of a key is known from an earlier connection, or from another that stands.
  case identityBack = "identity back"
  case twinIdentity = "second worker of a key"
  /// As many workers of a key are here as the fleet takes.
  case keyQuota = "quota of a key"
  /// A key is struck off the list, and its worker's connection ends; or it comes to the list while the run goes on.
  case keyStruck = "key struck off"
  case keyAdded = "key added"
  /// A worker's connection, or process, ends while it fetches the base model.
  case fetchBroken = "model fetch broken off"
  /// HELLO has other fields than its program would give it, or comes again in a session, or over many connections.
  case helloAltered = "HELLO altered"
  case helloRepeated = "HELLO repeated"
  case helloFlood = "HELLO flood"

  /// All workers send hundreds of messages at once.
  case burst = "burst of messages"
  /// A worker with a valid key says something else than its program would.
  case messageAltered = "message altered"

  // The network.
  case messageLost = "message lost"
  case messageDuplicated = "message duplicated"
  case messageReordered = "message reordered"
  case messageDelayed = "message delayed"
  /// A bit of it flips.
  case messageDamaged = "message damaged"
  case connectionCut = "connection cut"
  case partition
  case partitionOneWay = "partition one way"

  // The coordinator.
  case coordinatorKilled = "coordinator killed"
  case coordinatorKilledAtPersist = "coordinator killed at a persist"
  case coordinatorKilledAtSend = "coordinator killed at a send"
  /// Its loop stands still.
  case coordinatorStalled = "coordinator stalled"
  /// Its disk is full, or fails, for a time.
  case diskFault = "disk fault"
  /// Its machine loses its power, and what was not synced is on the disk or not, in part or as rubbish.
  case powerLost = "power lost"
  /// Real files cannot be written, or not synced: no room, an error, or another program has the ledger.
  case diskFull = "disk full"
  case diskError = "disk error"
  case syncError = "sync error"
  case readError = "read error"
  /// A stored file has another bit than it was written with.
  case rot
  case ledgerHeld = "ledger held"
  /// Its user stops it, and goes on later.
  case runStopped = "run stopped"
  /// Its user has it rest for a time.
  case runPaused = "run paused"
  /// The arithmetic of one run cannot go on: that run fails, and no other.
  case engineBroken = "engine broken"
  /// The wall clock jumps.
  case clockJump = "clock jump"

  public static func < (a: FaultKind, b: FaultKind) -> Bool { a.rawValue < b.rawValue }

  /// Those that come at a time and place of their own, rather than with some message or shard.
  static let incidents: [FaultKind] = [
    .workerKilled, .workerFrozen, .workerHung, .workerSlow, .workerLeaves, .connectionCut, .partition,
    .partitionOneWay, .coordinatorKilled, .coordinatorStalled, .clockJump,
  ]
}

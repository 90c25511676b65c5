import WireProtocol

/// A hand-out whose end has not been heard of.
struct Attempt: Sendable {
  @Indirect private(set) var assignment: Assignment
  let workerID: Int
  /// Whose worker it is.
  let owner: Owner
  /// The process that computes it; see `Worker.process`.
  let process: String
  /// Place of its shard in the open unit; nil once the unit is over.
  var place: Int?
  let handedOut: Instant
  /// Length of its lease, in seconds.
  let lease: Double
  var leaseEnds: Instant
  /// When its worker is given up, once the lease is over.
  var givenUp: Instant

  var isAccepted = false
  /// Whether its result is offered, or on the way.
  var isUploading = false
  /// Since when its result waits for its turn to be sent; nil if it does not.
  var waitsSince: Instant?
  /// For how long it has waited so, in seconds: nothing that its worker could help.
  var waitedSeconds = 0.0
  /// Steps of the computation that were reported, and when the number last grew or bytes last moved.
  var progress = 0
  var grew: Instant

  /// Its shard has been given to others, but its result still counts if it comes first.
  var isExpired = false
  /// It has been put down as a failure of its shard.
  var isCounted = false
  /// Its worker's process has joined anew, so what ended is no more than a connection.
  var hasReturned = false
  /// Its worker has been told to stop.
  var isCancelled = false
  /// Another worker was given the same shard, because this one is late.
  var hasBackup = false

  var number: Int { assignment.attempt }
  var identity: String { owner.identity }
  /// Whether something is still expected of it.
  var isActive: Bool { !isExpired && !isCancelled }

  /// The result's turn has come, or will not.
  mutating func endWait(now: Instant) {
    guard let since = waitsSince else { return }
    waitsSince = nil
    waitedSeconds += now.seconds(since: since)
    extend(by: now.seconds(since: since))
  }

  /// How long its worker has had it in hand, in seconds.
  func age(_ now: Instant) -> Double { now.seconds(since: handedOut) - waitedSeconds }

  /// The coordinator itself stood still for so many seconds, which count for nobody.
  mutating func extend(by seconds: Double) {
    leaseEnds = leaseEnds + seconds
    givenUp = givenUp + seconds
    grew = grew + seconds
  }
}

/// A worker's word on what a shard comes to.
struct Vote: Sendable {
  let attempt: Attempt
  let summary: ResultSummary
  let received: Instant
  var isAcknowledged = false
}

/// Votes that say the same.
struct Opinion: Sendable {
  /// Never empty.
  var votes: [Vote]
  let summary: ResultSummary
  /// The attempt under which the bytes are kept; nil if only digests have come.
  var payload: Int?

  init(_ vote: Vote) {
    votes = [vote]
    summary = vote.summary
  }

  /// Whose votes these are: two processes behind one key are one.
  var identities: Set<String> { Set(votes.map(\.attempt.identity)) }
  /// Who said it first.
  var workerID: Int? { votes.first?.attempt.workerID }
}

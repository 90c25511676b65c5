import WireProtocol

/// What a worker's core is told at its start. Times are in seconds.
public struct WorkerSettings: Sendable, Equatable {
  /// What the worker says of itself when it joins.
  public var hello: Hello
  /// Where the coordinator is, for messages to the user.
  public var endpoint: String

  /// How long the first HELLO waits for an answer; every further one twice as long, up to the maximum.
  public var helloSeconds = 1.0
  public var maximumHelloSeconds = 10.0
  /// A coordinator that was not heard for so long is taken for lost; the worker joins again as a new one.
  public var silenceSeconds = 10.0
  /// Without a coordinator for so long, the worker gives up.
  public var giveUpSeconds = 120.0
  /// How long SIGTERM waits for the shard at hand.
  public var drainSeconds = 30.0

  public init(hello: Hello, endpoint: String) {
    self.hello = hello
    self.endpoint = endpoint
  }
}

/// Everything that can happen to a worker.
public enum WorkerEvent: Sendable {
  case start
  /// A message came.
  case message(Envelope, Message)
  /// A part of a message has come, which is a sign of life: over a slow connection a long one takes longer than the
  /// coordinator may be silent.
  case arriving
  /// What came could not be read, or could not be sent.
  case connectionFailed(reason: String)
  /// The coordinator did not let the connection through; final if another try would end alike.
  case refused(reason: String, isFinal: Bool)
  /// The model of the last `loadModel` is loaded; this is its folder's digest.
  case modelLoaded(sha256: String)
  case modelFailed(reason: String)
  /// The probe came to this.
  case probed(sha256: String)
  /// The job came to this.
  case computed(job: Int, ResultMessage)
  /// The job failed. `isNotFinite`: it came to a number that is not finite; the reason says to which, in the same words
  /// wherever it is computed.
  case computeFailed(job: Int, reason: String, isNotFinite: Bool = false)
  /// The job was ended by `stop`.
  case stopped(job: Int)
  /// The user or the system wants the worker to leave (SIGTERM, SIGINT).
  case terminate
  /// The time that was asked for by `armTimer` has come; to be said after the messages that have come meanwhile.
  case timer
}

/// What a worker has to do, in this order.
public enum WorkerEffect: Sendable, Equatable {
  /// Close the socket, if there is one, and open a new one.
  case connect
  /// Nothing that was begun for the last session, or the last run, matters any more: end the job at hand, drop queued
  /// ones and parameters not yet applied.
  case abandon
  /// Send this with the core's `work` and `session` in the envelope.
  case send(Message)
  /// Load the model of a run (or take it up again, if it is loaded), then say `modelLoaded`.
  case loadModel(EnterRun)
  /// Compute what the probe asks for, then say `probed`.
  case probe(Probe)
  /// Set a tier's parameters, before any job that is given out later.
  case apply(ParametersMessage)
  /// Go on from these chains of windows in the next job.
  case takeWindow(WindowMessage)
  /// Compute; jobs are numbered so that one of an earlier session or run is never taken for one of this.
  case compute(job: Int, AssignMessage)
  /// End this job at the next layer, then say `stopped` (or `computed`, if it is done before).
  case stop(job: Int)
  /// Send LEASE_RENEW for this attempt, with the steps of the job that are done.
  case renew(job: Int, attempt: Int)
  /// Worth a line in the log.
  case log(String)
  /// Let what was sent go out, then end the process; not successful means an exit code other than 0.
  case exit(successful: Bool, reason: String)
  /// Send `timer` at this time; replaces the time given before.
  case armTimer(Instant)
}

import Foundation
import Ledger
import Transport

/// Along what a step is cut into shards.
public enum ShardAxis: String, Sendable, CaseIterable {
  case microBatch = "micro-batch"
  case tier
}

/// How a run is carried out. None of these changes a bit of its result.
public struct RunOptions: Sendable {
  /// Worker processes that the coordinator starts on its own machine.
  public var localWorkers: Int
  public var threadsPerWorker: Int
  /// `tcp://ADDR:PORT` to take workers from other machines; nil for local workers alone.
  public var listen: String?
  /// Keys for `listen`; nil for none.
  public var security: ServerSecurity?
  /// The file that the keys of those who may join came from, which may change meanwhile.
  var allowList: AllowList?
  public var shardBy: ShardAxis
  /// Runs that are at work together, if there are several.
  public var parallelRuns = 1
  /// Whether runs come on and on: without any, the coordinator waits for the next.
  var takesRuns = false
  /// Whether there are several runs, so that each is named in what is said of it.
  var isOneOfMany = false
  /// Whether something else starts the coordinator again after each end: the workers of other machines are then not
  /// sent away when it is stopped, but left to join again.
  public var isStartedAgain = false
  /// Whether the process stays, and answers for its health, when its run is finished.
  public var staysWhenFinished = false
  /// Whether each run's folder gets a `RunReport` when the run ends, however it ends.
  public var writesReport = false
  /// How long a call on the ledger waits for another program that holds it.
  package var ledgerBusySeconds = Ledger.usualBusySeconds
  /// How the coordinator is looked after.
  public var operations = OperationsOptions()
  /// Faults to be made on purpose.
  public var failpoints: Failpoints

  public init(
    localWorkers: Int = 1, threadsPerWorker: Int = 1, listen: String? = nil, security: ServerSecurity? = nil,
    shardBy: ShardAxis = .microBatch, failpoints: Failpoints = .none
  ) {
    self.localWorkers = localWorkers
    self.threadsPerWorker = threadsPerWorker
    self.listen = listen
    self.security = security
    self.shardBy = shardBy
    self.failpoints = failpoints
  }
}

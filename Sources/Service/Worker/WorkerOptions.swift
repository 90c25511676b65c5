import Foundation
import Transport

/// How a worker is started.
public struct WorkerOptions: Sendable {
  /// `tcp://HOST:PORT` or `ipc://PATH`
  public var endpoint: String
  public var threads: Int
  /// The base model's folder on this machine; nil for the path that the coordinator names, or the cache.
  public var modelPath: String?
  /// The folder for models that are fetched from coordinators; nil for the usual one.
  public var modelCache: String?
  /// Bytes of the base models that are kept loaded for runs to come; nil for half of the memory.
  public var modelBytes: Int?
  /// The worker's number, if the coordinator started it.
  public var localIndex: Int?
  /// What the coordinator has told it, if so.
  public var localSecret: String?
  /// Keys, for a coordinator that has some.
  public var security: ClientSecurity?
  /// Faults to be made on purpose.
  public var failpoints: Failpoints
  /// How the worker is looked after.
  public var operations = OperationsOptions()

  /// What a coordinator has told a worker that it starts.
  public static var localSecretOfEnvironment: String? {
    ProcessInfo.processInfo.environment[LocalWorkers.secretVariable]
  }

  public init(
    endpoint: String, threads: Int, modelPath: String? = nil, modelCache: String? = nil,
    localIndex: Int? = nil,
    security: ClientSecurity? = nil, failpoints: Failpoints = .none
  ) {
    self.endpoint = endpoint
    self.threads = threads
    self.modelPath = modelPath
    self.modelCache = modelCache
    self.localIndex = localIndex
    self.security = security
    self.failpoints = failpoints
  }
}

/// How a worker is started.
public struct WorkerOptions: Sendable {
  /// `tcp://HOST:PORT` or `ipc://PATH`
  public var endpoint: String
  public var threads: Int
  /// The base model's folder on this machine; nil for the path that the coordinator names.
  public var modelPath: String?
  /// The worker's number, if the coordinator started it.
  public var localIndex: Int?

  public init(endpoint: String, threads: Int, modelPath: String? = nil, localIndex: Int? = nil) {
    self.endpoint = endpoint
    self.threads = threads
    self.modelPath = modelPath
    self.localIndex = localIndex
  }
}

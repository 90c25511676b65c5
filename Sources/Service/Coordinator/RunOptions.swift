import Foundation
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
  public var shardBy: ShardAxis
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

/// Where a coordinator may listen.
public enum ListenAddress {
  /// Refuses an address that is not `tcp://ADDR:PORT`, and one beyond loopback without keys unless
  /// `insecure`.
  public static func check(_ address: String, hasKeys: Bool, insecure: Bool) throws {
    guard address.hasPrefix("tcp://"), let colon = address.lastIndex(of: ":"),
      colon > address.index(address.startIndex, offsetBy: 4),
      let port = Int(address[address.index(after: colon)...]), (0...65535).contains(port)
    else { throw ServiceError("--listen \(address) is not of the form tcp://ADDR:PORT") }
    let host = address[address.index(address.startIndex, offsetBy: 6)..<colon]
    if !isLoopback(host) && !hasKeys && !insecure {
      throw ServiceError(
        "--listen \(address) is open to other machines, without keys",
        remedy:
          "give --key and --allow-keys, see nl keygen --help; or add --insecure on a network where everyone is trusted"
      )
    }
  }

  static func isLoopback(_ host: Substring) -> Bool {
    host == "localhost" || host == "[::1]" || isLoopbackIPv4(host)
  }

  private static func isLoopbackIPv4(_ host: Substring) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}

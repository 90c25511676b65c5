/// Where a worker may connect.
public enum ConnectAddress {
  /// Refuses an address that is neither `tcp://HOST:PORT` nor `ipc://PATH`, and one on another machine without keys
  /// unless `insecure`: anybody who answers there could say what is computed.
  public static func check(_ address: String, hasKeys: Bool, insecure: Bool) throws {
    if address.hasPrefix("ipc://") { return }
    guard let host = TCPAddress.host(of: address) else {
      throw ServiceError("--connect must be tcp://HOST:PORT or ipc://PATH, not \(address)")
    }
    if !TCPAddress.isLoopback(host) && !hasKeys && !insecure {
      throw ServiceError(
        "--connect \(address) is another machine, and without keys nobody knows who answers there",
        remedy:
          "give --key and --server-key, see nl-tool keygen --help; or add --insecure on a network where everyone is trusted"
      )
    }
  }
}

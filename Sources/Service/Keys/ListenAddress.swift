/// Where a coordinator may listen.
public enum ListenAddress {
  /// Refuses an address that is not `tcp://ADDR:PORT`, and one beyond loopback without keys unless
  /// `insecure`.
  public static func check(_ address: String, hasKeys: Bool, insecure: Bool) throws {
    guard let host = TCPAddress.host(of: address) else {
      throw ServiceError("--listen \(address) is not of the form tcp://ADDR:PORT")
    }
    if !TCPAddress.isLoopback(host) && !hasKeys && !insecure {
      throw ServiceError(
        "--listen \(address) is open to other machines, without keys",
        remedy:
          "give --key and --allow-keys, see nl-tool keygen --help; or add --insecure on a network where everyone is trusted"
      )
    }
  }
}

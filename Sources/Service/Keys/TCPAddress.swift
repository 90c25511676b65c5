/// The form `tcp://HOST:PORT`.
enum TCPAddress {
  /// Nil if it is another.
  static func host(of address: String) -> Substring? {
    guard address.hasPrefix("tcp://"), let colon = address.lastIndex(of: ":"),
      colon > address.index(address.startIndex, offsetBy: 6),
      let port = Int(address[address.index(after: colon)...]), (0...65535).contains(port)
    else { return nil }
    return address[address.index(address.startIndex, offsetBy: 6)..<colon]
  }

  static func isLoopback(_ host: Substring) -> Bool {
    host == "localhost" || host == "[::1]" || isLoopbackIPv4(host)
  }

  private static func isLoopbackIPv4(_ host: Substring) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}

import Foundation

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

  /// The address as others can use it: with this machine's name in place of "every address".
  static func reachable(_ address: String) -> String {
    guard let host = host(of: address), ["0.0.0.0", "[::]", "*"].contains(host) else { return address }
    return address.replacing("//\(host):", with: "//\(ProcessInfo.processInfo.hostName):")
  }

  private static func isLoopbackIPv4(_ host: Substring) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}

/// What a coordinator needs for keys on its tcp addresses: its own, and those of the workers that may join.
public struct ServerSecurity: Sendable {
  public let secretKey: SecretKey
  /// The public keys that are let in, with the names that their owner's list gives them.
  public let allowedKeys: [PublicKey: String]

  public init(secretKey: SecretKey, allowedKeys: [PublicKey: String]) {
    self.secretKey = secretKey
    self.allowedKeys = allowedKeys
  }
}

/// What a worker needs to join a coordinator with keys: its own, and the coordinator's public one, so that nobody else
/// can pass for the coordinator.
public struct ClientSecurity: Sendable {
  public let secretKey: SecretKey
  public let serverKey: PublicKey

  public init(secretKey: SecretKey, serverKey: PublicKey) {
    self.secretKey = secretKey
    self.serverKey = serverKey
  }
}

/// A connection that was not let in.
public struct Refusal: Sendable, Equatable {
  /// Where it came from, as ZeroMQ names it: an IP address.
  public let address: String
  /// The public key that it has shown that it holds; nil if the request was not even well-formed.
  public let key: PublicKey?

  public init(address: String, key: PublicKey?) {
    self.address = address
    self.key = key
  }
}

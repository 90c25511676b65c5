import WireProtocol

/// The public keys with which a connection may speak, as text. They may change while it stands: then nothing is listened
/// to any more that comes with a key which is not among them.
package struct AllowedKeys: Sendable {
  private let keys: Set<String>

  package init(_ keys: some Sequence<String>) { self.keys = Set(keys) }

  package func contains(_ key: String) -> Bool { keys.contains(key) }

  /// Why a message that came with a key is not read; nil if it is.
  package func objection(to key: String) -> ProtocolError? {
    keys.contains(key) ? nil : ProtocolError(.frames, "the public key \(key) is no longer allowed")
  }
}

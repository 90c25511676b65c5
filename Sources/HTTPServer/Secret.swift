/// Texts that are to be kept to themselves.
package enum Secret {
  /// Takes as long for texts that differ early as for those that differ late: the time tells nothing of the secret.
  package static func isSame(_ a: String, _ b: String) -> Bool {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    guard a.count == b.count else { return false }
    return zip(a, b).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

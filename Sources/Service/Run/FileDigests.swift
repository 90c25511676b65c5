import Files
import Foundation

/// SHA-256 of files, each computed once.
///
/// Unchecked: what changes is behind the lock.
package final class FileDigests: @unchecked Sendable {
  private let lock = NSLock()
  private var known: [String: String] = [:]

  package init() {}

  package func sha256(_ path: String) throws -> String {
    if let known = lock.withLock({ known[path] }) { return known }
    let digest = try FileDigest.sha256(file: path)
    lock.withLock { known[path] = digest }
    return digest
  }
}

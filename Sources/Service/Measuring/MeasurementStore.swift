import Dataset
import Digests
import Files
import Foundation
import Training

/// What was measured, by everything that decides it: in memory, and in a folder beside the token cache, where the next
/// run finds it.
///
/// Unchecked: what changes is behind the lock.
package final class MeasurementStore: @unchecked Sendable {
  private let lock = NSLock()
  private var known: [String: MeasuredValues] = [:]
  /// Nil if nothing is to be kept.
  private let folder: String?

  package init() {
    let environment = ProcessInfo.processInfo.environment
    folder =
      environment[TokenCache.variable] == "off"
      ? nil : TokenCache.folder(environment: environment).map { $0 + "/measured" }
  }

  /// Nil if it was not measured, or what is kept of it is damaged.
  func values(_ key: String) -> MeasuredValues? {
    if let values = lock.withLock({ known[key] }) { return values }
    guard let path = path(key), FileSystem.kind(path) == .file, let bytes = try? AtomicFile.read(path),
      let values = MeasuredFile.values(bytes)
    else { return nil }
    lock.withLock { known[key] = values }
    return values
  }

  /// What cannot be kept on the disk is measured again by another process.
  package func keep(_ values: MeasuredValues, as key: String) {
    lock.withLock { known[key] = values }
    guard let path = path(key) else { return }
    try? FileSystem.makeFolders(FileSystem.folder(of: path))
    try? AtomicFile.write(MeasuredFile.bytes(values), to: path)
  }

  private func path(_ key: String) -> String? { folder.map { "\($0)/\(key).values" } }
}

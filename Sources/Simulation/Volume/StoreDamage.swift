import Digests
import Files
import JSON
import Ledger
import Logging
import Service
import Synchronization

/// Rot: files that a run has written and synced, and that have other bytes when they are read.
extension SimulatedStore {
  /// Flips a bit in a file of one of the snapshots on the record.
  ///
  /// - Returns: whether there was one.
  func rot(using random: inout SplitMix64) throws -> Bool {
    let paths = Set(try recorded().flatMap(files)).sorted()
    guard let path = paths.randomElement(using: &random), var bytes = try? AtomicFile.read(path),
      let place = bytes.indices.randomElement(using: &random)
    else { return false }
    bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    try volume.replace(path, bytes)
    try noteDamage()
    return true
  }

  /// Looks at the files of all snapshots on the record, whatever the product makes of them. A damaged one may have left
  /// the record since; it is sound again once it has been written anew.
  func noteDamage() throws {
    for record in try recorded() {
      if files(record).allSatisfy(Self.isSound) {
        damaged.remove(record.step)
      } else {
        damaged.insert(record.step)
      }
    }
  }

  private func recorded() throws -> [SnapshotRecord] { try open().ledger.snapshots() }

  /// The manifest of a snapshot, and the blobs that it names as far as it can be read.
  private func files(_ record: SnapshotRecord) -> [String] {
    let folder = path + "/state"
    let manifest = "\(folder)/\(record.manifest).json"
    guard let bytes = try? AtomicFile.read(manifest), let json = try? JSONValue(parsing: bytes) else {
      return [manifest]
    }
    let blobs = (json["blobs"]?.array ?? []).compactMap { $0["sha256"]?.string }
    return [manifest] + blobs.map { "\(folder)/\($0).blob" }
  }

  /// Whether a file's name is the digest of its bytes.
  private static func isSound(_ path: String) -> Bool {
    guard let bytes = try? AtomicFile.read(path) else { return false }
    return FileSystem.name(of: path).hasPrefix(bytes.withUnsafeBytes { Digest.sha256($0) })
  }
}

/// What a run says in its log.
final class RunLog: Sendable {
  private let lines = Mutex<[String]>([])

  var logger: Logger { Logger(label: "simulated") { _ in Handler(log: self) } }

  /// Takes what was said since the last time.
  func take() -> [String] {
    lines.withLock { lines in
      defer { lines = [] }
      return lines
    }
  }

  private struct Handler: LogHandler {
    let log: RunLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.notice

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      log.lines.withLock { $0.append("\(event.message)") }
    }
  }
}

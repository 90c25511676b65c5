import Digests
import Files
import JSON
import Ledger
import WireProtocol

/// The `state` folder of a run: snapshots as content-addressed files.
///
/// A blob is `<SHA-256>.blob`; what did not change since the last snapshot is stored once. A snapshot is its
/// manifest, `<SHA-256>.json`, which names its blobs and carries the small state as JSON. Nothing is ever
/// overwritten, so a crash at any moment leaves every recorded snapshot whole.
///
/// One thread owns a store: a blob of a snapshot that is being written is not referenced yet, and pruning in the
/// middle would delete it.
public struct SnapshotStore: Sendable {
  public let folder: String

  public init(folder: String) { self.folder = folder }

  /// Begins a snapshot of the state after `step`.
  ///
  /// - Parameter recorded: blobs of snapshots that the ledger has; they are on the disk, and not written again. Any
  ///   other file, even if it is there, may be the rest of an attempt whose sync failed.
  public func begin(step: Int, recorded: some Sequence<SnapshotBlob> = []) -> SnapshotWriter {
    SnapshotWriter(store: self, step: step, durable: Set(recorded.map(\.sha256)))
  }

  /// Opens a snapshot by the digest of its manifest. Blobs are checked when they are read.
  public func open(_ manifest: String) throws(SnapshotError) -> Snapshot {
    let path = manifestPath(manifest)
    let bytes = try read(path, digest: manifest, what: "the manifest of a snapshot")
    do {
      return try Snapshot(store: self, manifest: JSONValue(parsing: bytes))
    } catch {
      throw SnapshotError(path: path, reason: "this is not the manifest of a snapshot: \(error)")
    }
  }

  /// Deletes all but these manifests and the blobs that they refer to. If one of them cannot be read, nothing is
  /// deleted.
  ///
  /// - Returns: how many files were deleted.
  @discardableResult
  public func prune(keeping manifests: [String]) throws(SnapshotError) -> Int {
    var kept = Set<String>()
    for manifest in manifests {
      kept.insert(FileSystem.name(of: manifestPath(manifest)))
      for blob in try open(manifest).blobs { kept.insert(FileSystem.name(of: blobPath(blob.sha256))) }
    }
    do {
      var deleted = 0
      for name in try FileSystem.names(in: folder)
      where !kept.contains(name) && (name.hasSuffix(".blob") || name.hasSuffix(".json")) {
        try FileSystem.remove(folder + "/" + name)
        deleted += 1
      }
      return deleted
    } catch {
      throw SnapshotError(error)
    }
  }

  func manifestPath(_ digest: String) -> String { "\(folder)/\(digest).json" }
  func blobPath(_ digest: String) -> String { "\(folder)/\(digest).blob" }

  /// Reads a file and holds it to the digest that is its name.
  func read(_ path: String, digest: String, what: String) throws(SnapshotError) -> [UInt8] {
    let bytes: [UInt8]
    do { bytes = try AtomicFile.read(path) } catch { throw SnapshotError(error, what: what) }
    let found = bytes.withUnsafeBytes { Digest.sha256($0) }
    guard found == digest else {
      throw SnapshotError(path: path, reason: "\(what) is damaged: its SHA-256 is \(found)", isDamage: true)
    }
    return bytes
  }

  /// Writes what `content` gives under its digest.
  func write(
    _ path: String, _ content: ((UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) -> Void
  ) throws(SnapshotError) {
    do {
      // A file does not take the place of a folder, which only damage can have put there.
      if FileSystem.kind(path) == .folder { try FileSystem.remove(path) }
      try AtomicFile.write(to: path, syncingFolder: false, content)
    } catch {
      throw SnapshotError(error)
    }
  }
}

/// Writes one snapshot: `add` its blobs, then `finish`. Before that it does not exist.
public struct SnapshotWriter {
  private let store: SnapshotStore
  private let step: Int
  private let durable: Set<String>
  private(set) var blobs: [SnapshotBlob] = []
  private var bytes = 0

  init(store: SnapshotStore, step: Int, durable: Set<String>) {
    self.store = store
    self.step = step
    self.durable = durable
  }

  /// Names a blob of a recorded snapshot again: nothing is written, nor looked at.
  mutating func reuse(_ blob: SnapshotBlob) throws(SnapshotError) {
    try refuseSecond(blob.name)
    blobs.append(blob)
    bytes += blob.byteCount
  }

  /// Stores f32 values as their little-endian bytes, those of all lists one after the other. Names are those by which
  /// the blob is found again; each may be used once.
  public mutating func add(_ name: String, floats lists: [[Float]]) throws(SnapshotError) {
    try refuseSecond(name)
    let lists = lists.map(Self.littleEndian)
    var digest = DigestBuilder()
    for list in lists { list.withUnsafeBytes { digest.update($0) } }
    let blob = SnapshotBlob(
      name: name, byteCount: lists.reduce(0) { $0 + 4 * $1.count }, sha256: digest.finish())
    let path = store.blobPath(blob.sha256)
    if !durable.contains(blob.sha256) || FileSystem.size(path) != blob.byteCount {
      try store.write(path) { write throws(FileError) in
        for list in lists {
          let result = list.withUnsafeBytes { bytes in
            Result { () throws(FileError) in try write(bytes) }
          }
          try result.get()
        }
      }
    }
    blobs.append(blob)
    bytes += blob.byteCount
  }

  public mutating func add(_ name: String, floats: [Float]) throws(SnapshotError) {
    try add(name, floats: [floats])
  }

  private func refuseSecond(_ name: String) throws(SnapshotError) {
    guard !blobs.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
      throw SnapshotError(path: store.folder, reason: "the snapshot has two blobs named \(name)")
    }
  }

  private static func littleEndian(_ floats: [Float]) -> [Float] {
    guard Float(1).bitPattern.littleEndian != Float(1).bitPattern else { return floats }
    return floats.map { Float(bitPattern: $0.bitPattern.littleEndian) }
  }

  /// Puts the snapshot on the disk: its blobs, then the manifest that refers to them.
  ///
  /// - Parameter state: everything small, as the owner of the state encodes it.
  /// - Returns: what the ledger records; the snapshot counts from then on.
  public func finish(state: JSONValue) throws(SnapshotError) -> SnapshotRecord {
    let manifest: JSONValue = [
      "format": .number(Snapshot.format), "step": .number(step), "state": state,
      "blobs": .array(blobs.map(\.json)),
    ]
    let text = manifest.bytes(indent: 2)
    let digest = text.withUnsafeBytes { Digest.sha256($0) }
    do {
      try FileSystem.syncFolder(store.folder)
      if FileSystem.kind(store.manifestPath(digest)) == .folder {
        try FileSystem.remove(store.manifestPath(digest))
      }
      try AtomicFile.write(text, to: store.manifestPath(digest))
      return SnapshotRecord(step: step, manifest: digest, bytes: bytes + text.count)
    } catch {
      throw SnapshotError(error)
    }
  }
}

import JSON
import Ledger
import Protocol

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
  public func begin(step: Int) -> SnapshotWriter { SnapshotWriter(store: self, step: step) }

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
      throw SnapshotError(path: path, reason: "\(what) is damaged: its SHA-256 is \(found)")
    }
    return bytes
  }

  /// Stores bytes under their digest, unless they are there already.
  func store(_ bytes: UnsafeRawBufferPointer, path: (String) -> String) throws(SnapshotError) -> String {
    let digest = Digest.sha256(bytes)
    let path = path(digest)
    if (try? read(path, digest: digest, what: "")) != nil { return digest }
    do {
      try AtomicFile.write(bytes, to: path, syncingFolder: false)
    } catch {
      throw SnapshotError(error)
    }
    return digest
  }
}

/// Writes one snapshot: `add` its blobs, then `finish`. Before that it does not exist.
public struct SnapshotWriter {
  private let store: SnapshotStore
  private let step: Int
  private var blobs: [SnapshotBlob] = []
  private var bytes = 0

  init(store: SnapshotStore, step: Int) {
    self.store = store
    self.step = step
  }

  /// Stores the bytes of a blob. Names are those by which the blob is found again; each may be used once.
  public mutating func add(_ name: String, bytes: UnsafeRawBufferPointer) throws(SnapshotError) {
    guard !blobs.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
      throw SnapshotError(path: store.folder, reason: "the snapshot has two blobs named \(name)")
    }
    let digest = try store.store(bytes, path: store.blobPath)
    blobs.append(SnapshotBlob(name: name, byteCount: bytes.count, sha256: digest))
    self.bytes += bytes.count
  }

  /// Stores f32 values as their little-endian bytes.
  public mutating func add(_ name: String, floats: [Float]) throws(SnapshotError) {
    var values = floats
    if Float(1).bitPattern.littleEndian != Float(1).bitPattern {
      values = floats.map { Float(bitPattern: $0.bitPattern.littleEndian) }
    }
    let result = values.withUnsafeBytes { bytes in
      Result { () throws(SnapshotError) in try add(name, bytes: bytes) }
    }
    try result.get()
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
    do {
      try FileSystem.syncFolder(store.folder)
      let text = manifest.bytes(indent: 2)
      let result = text.withUnsafeBytes { bytes in
        Result { () throws(SnapshotError) in try store.store(bytes, path: store.manifestPath) }
      }
      let digest = try result.get()
      try FileSystem.syncFolder(store.folder)
      return SnapshotRecord(step: step, manifest: digest, bytes: bytes + text.count)
    } catch let error as FileError {
      throw SnapshotError(error)
    } catch {
      throw error as? SnapshotError ?? SnapshotError(path: store.folder, reason: "\(error)")
    }
  }
}

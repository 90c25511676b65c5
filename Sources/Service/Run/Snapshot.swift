import Files
import JSON

/// A blob as a manifest names it.
public struct SnapshotBlob: Sendable, Equatable {
  public let name: String
  public let byteCount: Int
  /// Hex.
  public let sha256: String

  var json: JSONValue {
    ["name": .string(name), "bytes": .number(byteCount), "sha256": .string(sha256)]
  }

  init(name: String, byteCount: Int, sha256: String) {
    self.name = name
    self.byteCount = byteCount
    self.sha256 = sha256
  }

  init(_ json: JSONValue) throws(SnapshotError) {
    guard let name = json["name"]?.string, let count = json["bytes"]?.int, count >= 0,
      let sha256 = json["sha256"]?.string, sha256.utf8.count == 64, sha256.utf8.allSatisfy(Self.isHex)
    else { throw SnapshotError(path: "", reason: "a blob needs its name, bytes and sha256") }
    self.init(name: name, byteCount: count, sha256: sha256)
  }

  private static func isHex(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }
}

/// A snapshot that was read: its small state, and its blobs on demand.
public struct Snapshot: Sendable {
  static let format = 1

  public let step: Int
  public let state: JSONValue
  public let blobs: [SnapshotBlob]
  private let store: SnapshotStore

  init(store: SnapshotStore, manifest: JSONValue) throws(SnapshotError) {
    self.store = store
    guard let format = manifest["format"]?.int else {
      throw SnapshotError(path: "", reason: "it has no format")
    }
    guard format == Self.format else {
      throw SnapshotError(
        path: "",
        reason:
          "its format is \(format), and this program reads \(Self.format); use the program that wrote it"
      )
    }
    guard let step = manifest["step"]?.int, let state = manifest["state"],
      let blobs = manifest["blobs"]?.array
    else { throw SnapshotError(path: "", reason: "it needs step, state and blobs") }
    self.step = step
    self.state = state
    var read: [SnapshotBlob] = []
    for blob in blobs { read.append(try SnapshotBlob(blob)) }
    self.blobs = read
  }

  /// Reads all blobs, and holds each to its digest.
  func check() throws(SnapshotError) { for blob in blobs { _ = try bytes(of: blob.name) } }

  /// The bytes of a blob, held to their digest.
  public func bytes(of name: String) throws(SnapshotError) -> [UInt8] {
    guard let blob = blobs.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
      throw SnapshotError(path: store.folder, reason: "the snapshot of step \(step) has no blob \(name)")
    }
    return try store.read(
      store.blobPath(blob.sha256), digest: blob.sha256, what: "\(name) of the snapshot of step \(step)")
  }

  /// A blob's bytes as little-endian f32 values.
  public func floats(of name: String) throws(SnapshotError) -> [Float] {
    let bytes = try bytes(of: name)
    guard bytes.count % 4 == 0 else {
      throw SnapshotError(
        path: store.folder, reason: "\(name) of the snapshot of step \(step) is not a list of f32 values")
    }
    return bytes.withUnsafeBytes { bytes in
      [Float](unsafeUninitializedCapacity: bytes.count / 4) { values, count in
        for i in 0..<bytes.count / 4 {
          let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
          values.initializeElement(at: i, to: Float(bitPattern: bits))
        }
        count = bytes.count / 4
      }
    }
  }
}

/// Why a snapshot cannot be written or read.
public struct SnapshotError: Error, Sendable, CustomStringConvertible {
  public let path: String
  public let reason: String
  /// The same call succeeds once there is room on the disk.
  public let isDiskFull: Bool
  /// The volume is at fault; the same call may succeed later.
  public let isDiskFault: Bool
  /// A file of it is gone, cannot be read from the disk, or does not have the bytes that it had: an older snapshot does
  /// as well.
  public let isDamage: Bool

  init(path: String, reason: String, isDamage: Bool = false) {
    self.path = path
    self.reason = reason
    isDiskFull = false
    isDiskFault = false
    self.isDamage = isDamage
  }

  init(_ error: FileError, what: String = "") {
    path = what.isEmpty ? "" : error.path
    reason = what.isEmpty ? error.description : "\(what): \(error.doing) failed: \(error.reason)"
    isDiskFull = error.isDiskFull
    isDiskFault = error.isDiskFault
    isDamage = error.isDamage
  }

  public var description: String { path.isEmpty ? reason : "\(path): \(reason)" }
}

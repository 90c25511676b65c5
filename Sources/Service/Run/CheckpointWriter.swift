import Files
import JSON
import Training

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The `checkpoints` folder of a run. A checkpoint folder is prepared beside its final name, synced and renamed:
/// it exists whole or not at all.
public struct CheckpointWriter: Sendable {
  public typealias Kind = CheckpointKind

  public let folder: String
  /// How many of the folders of steps stay (`keep_last_n_checkpoints`); best and final do not count.
  public let keepLast: Int
  /// Whether the folders of steps are not written at all (`save_best_only`).
  public let saveBestOnly: Bool

  public init(folder: String, keepLast: Int, saveBestOnly: Bool) {
    self.folder = folder
    self.keepLast = max(1, keepLast)
    self.saveBestOnly = saveBestOnly
  }

  /// Writes a checkpoint; one of the same name is replaced. After a failure nothing of it is left, and what was
  /// there before still is.
  ///
  /// - Parameter content: writes the model or adapter files into the folder that it is given.
  /// - Returns: the folder's path, or nil if `saveBestOnly` leaves this kind out.
  public func write(
    _ kind: Kind, metadata: CheckpointMetadata, content: (_ folder: String) throws -> Void
  ) throws(CheckpointError) -> String? {
    if saveBestOnly, case .step = kind { return nil }
    let path = folder + "/" + kind.name
    let temporary = folder + "/" + AtomicFile.temporaryPrefix + kind.name
    do {
      try FileSystem.remove(temporary)
      try FileSystem.makeFolders(temporary)
      try content(temporary)
      try AtomicFile.write(metadata.json.bytes(indent: 2), to: temporary + "/metadata.json")
      try FileSystem.syncTree(temporary)
      try Self.replace(path, with: temporary)
    } catch {
      try? FileSystem.remove(temporary)
      throw CheckpointError(path: path, error)
    }
    return path
  }

  /// Deletes the folders of all but the last steps.
  ///
  /// - Returns: the names that were deleted, for the ledger to forget.
  public func prune() throws(CheckpointError) -> [String] {
    do {
      let names = try FileSystem.names(in: folder)
      let steps = names.compactMap(Self.step).sorted()
      let old = steps.dropLast(keepLast).map { Kind.step($0).name }
      for name in old { try delete(name) }
      return old
    } catch {
      throw CheckpointError(path: folder, error)
    }
  }

  /// Deletes every checkpoint folder but these: what is not in the ledger was cut short, or became void.
  func deleteAll(but names: some Collection<String>) throws(CheckpointError) {
    do {
      for name in try FileSystem.names(in: folder)
      where
        (name == Kind.best.name || name == Kind.final.name || name == Kind.scaled(1).name
        || Self.step(name) != nil)
        && !names.contains(where: { $0.utf8.elementsEqual(name.utf8) })
      {
        try delete(name)
      }
    } catch {
      throw CheckpointError(path: folder, error)
    }
  }

  /// The step that a checkpoint folder says it is of; nil if there is none.
  package func writtenStep(_ name: String) -> Int? {
    (try? AtomicFile.read("\(folder)/\(name)/metadata.json"))
      .flatMap { try? JSONValue(parsing: $0)["step"]?.int }
  }

  /// A folder whose deletion is cut short must not look like a checkpoint.
  private func delete(_ name: String) throws(FileError) {
    let temporary = folder + "/" + AtomicFile.temporaryPrefix + name
    try FileSystem.remove(temporary)
    try FileSystem.rename(folder + "/" + name, to: temporary)
    try FileSystem.remove(temporary)
  }

  /// Ends a replacement that a crash cut short: a checkpoint that was moved aside, with none in its place yet,
  /// goes back.
  static func recover(_ folder: String) throws(FileError) {
    for name in try FileSystem.names(in: folder) where name.hasPrefix(asidePrefix) {
      let path = folder + "/" + name.dropFirst(asidePrefix.count)
      if FileSystem.kind(path) == nil {
        try FileSystem.rename(folder + "/" + name, to: path)
      } else {
        try FileSystem.remove(folder + "/" + name)
      }
    }
    try FileSystem.syncFolder(folder)
  }

  private static let asidePrefix = ".old-"

  /// A folder cannot be renamed over another, so the old one moves aside first; `recover` knows both names.
  private static func replace(_ path: String, with new: String) throws(FileError) {
    let parent = FileSystem.folder(of: path)
    let aside = parent + "/" + asidePrefix + FileSystem.name(of: path)
    let replaces = FileSystem.kind(path) != nil
    if replaces {
      // One that is left of a replacement whose last sync failed may be the only one that is on the disk.
      if FileSystem.kind(aside) != nil { try FileSystem.syncFolder(parent) }
      try FileSystem.remove(aside)
      try FileSystem.rename(path, to: aside)
    }
    do {
      try FileSystem.rename(new, to: path)
    } catch {
      if replaces { try FileSystem.rename(aside, to: path) }
      throw error
    }
    try FileSystem.syncFolder(parent)
    if replaces { try FileSystem.remove(aside) }
  }

  /// The step of a folder's name; nil for every other name.
  static func step(_ name: String) -> Int? {
    guard name.hasPrefix("checkpoint_"), let step = Int(name.dropFirst("checkpoint_".count)), step >= 0,
      Kind.step(step).name == name
    else { return nil }
    return step
  }
}

/// A checkpoint's metadata.json.
public struct CheckpointMetadata: Sendable {
  public var step: Int
  public var experimentName: String
  public var isBest: Bool
  public var isFinal: Bool
  /// The lowest validation loss so far; nil before the first evaluation.
  public var bestValidationLoss: Double?
  /// Every value in force.
  public var configuration: JSONValue
  public var tierStatistics: JSONValue
  /// Of `select_scale`: the scale, and the losses of those that were tried; nil of other checkpoints.
  public var selectedScale: JSONValue?
  /// What a user should be told of the tiers.
  public var warnings: [String] = []
  /// ISO 8601, UTC.
  public var timestamp: String

  public init(
    step: Int, experimentName: String, isBest: Bool, isFinal: Bool, bestValidationLoss: Double?,
    configuration: JSONValue, tierStatistics: JSONValue, timestamp: String
  ) {
    self.step = step
    self.experimentName = experimentName
    self.isBest = isBest
    self.isFinal = isFinal
    self.bestValidationLoss = bestValidationLoss
    self.configuration = configuration
    self.tierStatistics = tierStatistics
    self.timestamp = timestamp
  }

  public var json: JSONValue {
    var members: JSONObject = [
      "step": .number(step), "experiment_name": .string(experimentName), "is_best": .bool(isBest),
      "is_final": .bool(isFinal), "best_val_loss": bestValidationLoss.map { .number($0) } ?? .null,
      "config": configuration, "tier_stats": tierStatistics, "warnings": .strings(warnings),
      "timestamp": .string(timestamp),
    ]
    members["select_scale"] = selectedScale
    return .object(members)
  }
}

/// Why a checkpoint is not there.
public struct CheckpointError: Error, Sendable, CustomStringConvertible {
  /// The folder that was to be written.
  public let path: String
  public let reason: String
  /// The same call succeeds once there is room on the disk.
  public let isDiskFull: Bool
  /// The volume is at fault; the same call may succeed later.
  public let isDiskFault: Bool

  init(path: String, _ error: any Error) {
    self.path = path
    let fault = Self.diskFault(error)
    isDiskFull = fault?.isDiskFull ?? false
    isDiskFault = fault != nil
    reason = fault?.reason ?? "\(error)"
  }

  /// Writers of other modules have errors of their own, which carry the system's words.
  private static func diskFault(_ error: any Error) -> FileError? {
    if let error = error as? FileError { return error.isDiskFault ? error : nil }
    let text = "\(error)"
    return FileError.diskCodes.lazy.map { FileError(path: "", doing: "", code: $0) }.first {
      text.contains($0.reason)
    }
  }

  public var description: String {
    let remedy = isDiskFull ? "; free some space on this volume" : ""
    return "the checkpoint \(path) could not be written: \(reason)\(remedy)"
  }
}

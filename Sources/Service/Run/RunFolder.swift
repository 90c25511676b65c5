import Files
import JSON
import Ledger

/// The folder `<output_path>/<experiment_name>` of a run, locked for as long as this object lives.
///
/// ```
/// config.json                 every value in force
/// state.sqlite                the ledger
/// state/                      the snapshots that the ledger refers to
/// checkpoints/                best, final, checkpoint_NNNNNNN
/// metrics/                    train_metrics.jsonl, eval_metrics.jsonl
/// lock                        held by the coordinator that works on the run
/// ```
public final class RunFolder: Sendable {
  public let path: String
  private let lock: FolderLock

  public var configurationFile: String { path + "/config.json" }
  public var ledgerFile: String { path + "/state.sqlite" }
  public var stateFolder: String { path + "/state" }
  public var checkpointsFolder: String { path + "/checkpoints" }
  public var trainMetricsFile: String { path + "/metrics/train_metrics.jsonl" }
  public var evaluationMetricsFile: String { path + "/metrics/eval_metrics.jsonl" }

  private init(path: String, lock: FolderLock) {
    self.path = path
    self.lock = lock
  }

  /// Makes the folder of a new run and locks it. It is prepared beside its final name, with its config.json and
  /// its ledger already in it, and appears by a rename: there is never half a run.
  ///
  /// - Throws: `RunFolderError.exists` for a run that is there already; nothing is changed then.
  public static func create(
    outputPath: String, run: RunRecord, busySeconds: Double = Ledger.usualBusySeconds
  ) throws(RunFolderError) -> RunFolder {
    let name = run.experimentName
    guard isFolderName(name) else { throw .invalidName(name) }
    let path = outputPath == "/" ? "/" + name : outputPath + "/" + name
    try refuseExisting(path)
    do {
      try FileSystem.makeFolders(outputPath)
      removeLeftovers(of: name, in: outputPath)
      let temporary = "\(outputPath)/\(AtomicFile.temporaryPrefix)\(randomSuffix())-\(name)"
      try FileSystem.makeFolder(temporary)
      do {
        let lock = try FolderLock(path: temporary + "/lock")
        try fill(temporary, run: run, busySeconds: busySeconds)
        try FileSystem.rename(temporary, to: path)
        try FileSystem.syncFolder(outputPath)
        return RunFolder(path: path, lock: lock)
      } catch {
        try? FileSystem.remove(temporary)
        // Another coordinator may have been faster.
        try refuseExisting(path)
        throw error
      }
    } catch {
      throw RunFolderError(error, path: path)
    }
  }

  /// Opens the folder of an existing run, locks it, and clears away what a crash may have left unfinished.
  ///
  /// A config.json that is missing or damaged is written anew from the ledger, which has it too.
  ///
  /// - Parameter say: is told what was mended.
  public static func open(
    _ path: String, say: (String) -> Void = { _ in }
  ) throws(RunFolderError) -> RunFolder {
    var path = path
    while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
    guard FileSystem.kind(path + "/state.sqlite") == .file else {
      throw .notARun(path: path, missing: "state.sqlite")
    }
    do {
      let run = RunFolder(path: path, lock: try FolderLock(path: path + "/lock"))
      for folder in ["", "/state", "/checkpoints", "/metrics"] { try FileSystem.makeFolders(path + folder) }
      try CheckpointWriter.recover(run.checkpointsFolder)
      for folder in [path, run.stateFolder, run.checkpointsFolder, path + "/metrics"] {
        try removeTemporaries(in: folder)
      }
      if let mended = try run.mendConfiguration() { say(mended) }
      return run
    } catch {
      throw RunFolderError(error, path: path)
    }
  }

  /// Whether a coordinator works on the run in a folder; nil if that cannot be told.
  package static func isHeld(_ path: String) -> Bool? { FolderLock.isHeld(path + "/lock") }

  /// The values in force, as config.json has them.
  public func configuration() throws(RunFolderError) -> JSONValue {
    do {
      return try JSONValue(parsing: try AtomicFile.read(configurationFile))
    } catch let error as JSONError {
      throw .damaged(path: configurationFile, reason: error.description)
    } catch {
      throw RunFolderError(error, path: path)
    }
  }

  /// - Returns: what was wrong and what was done; nil for a sound config.json.
  private func mendConfiguration() throws -> String? {
    var reason = "it is missing"
    if FileSystem.kind(configurationFile) != nil {
      do {
        _ = try JSONValue(parsing: try AtomicFile.read(configurationFile))
        return nil
      } catch let error as FileError where !error.isDamage {
        throw error
      } catch { reason = "\(error)" }
    }
    let ledger = try Ledger.open(at: ledgerFile, access: .readOnly)
    let recorded = try ledger.status().run.configuration
    try ledger.close()
    if FileSystem.kind(configurationFile) != nil {
      try FileSystem.remove(configurationFile + ".damaged")
      try FileSystem.rename(configurationFile, to: configurationFile + ".damaged")
      reason += "; what was there is in config.json.damaged"
    }
    try write(configuration: recorded)
    return "\(configurationFile) was written anew from the ledger: \(reason)"
  }

  /// Replaces config.json.
  func write(configuration: JSONValue) throws(FileError) {
    try AtomicFile.write(configuration.bytes(indent: 2), to: configurationFile)
  }

  public func openLedger(
    busySeconds: Double = Ledger.usualBusySeconds
  ) throws(LedgerError) -> Ledger {
    try Ledger.open(at: ledgerFile, busySeconds: busySeconds)
  }

  private static func fill(_ folder: String, run: RunRecord, busySeconds: Double) throws {
    for name in ["state", "checkpoints", "metrics"] { try FileSystem.makeFolder(folder + "/" + name) }
    try AtomicFile.write(run.configuration.bytes(indent: 2), to: folder + "/config.json")
    // SQLite knows its files by name, so the ledger is closed before the folder gets another one.
    try Ledger.create(at: folder + "/state.sqlite", run: run, busySeconds: busySeconds).close()
    try FileSystem.syncTree(folder)
  }

  private static func refuseExisting(_ path: String) throws(RunFolderError) {
    guard let kind = FileSystem.kind(path) else { return }
    guard kind == .folder, let names = try? FileSystem.names(in: path) else { throw .inTheWay(path: path) }
    if names.contains("state.sqlite") { throw .exists(path: path) }
    if !names.isEmpty { throw .inTheWay(path: path) }
  }

  private static func isFolderName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 200 && !name.hasPrefix(".")
      && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 < 0x20 }
  }

  private static func randomSuffix() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 36) }

  /// Deletes what is left of attempts to create this run whose coordinator is gone. What cannot be deleted is
  /// left alone: it is in nobody's way.
  private static func removeLeftovers(of name: String, in outputPath: String) {
    for entry in (try? FileSystem.names(in: outputPath)) ?? []
    where entry.hasPrefix(AtomicFile.temporaryPrefix) && entry.hasSuffix("-" + name) {
      let folder = outputPath + "/" + entry
      guard FileSystem.kind(folder + "/lock") != nil, let lock = try? FolderLock(path: folder + "/lock")
      else {
        continue
      }
      try? FileSystem.remove(folder)
      withExtendedLifetime(lock) {}
    }
  }

  private static func removeTemporaries(in folder: String) throws(FileError) {
    for name in try FileSystem.names(in: folder) where name.hasPrefix(AtomicFile.temporaryPrefix) {
      try FileSystem.remove(folder + "/" + name)
    }
  }
}

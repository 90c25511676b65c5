import Files
import Foundation
import Synchronization

/// A folder on a volume that may lose its power, or fail. It hears of every change that
/// this program makes to files (`FileSystem.watcher`) and to SQLite's (`SimulatedVFS`), may refuse it, and knows what of
/// it is on the disk.
package final class SimulatedVolume: Sendable {
  package enum Fault: Sendable, Equatable {
    /// The process and the machine stop.
    case powerLoss
    /// They have stopped before.
    case off
    /// Writes find no room.
    case full
    /// Writes fail, and so do changes of names.
    case writeError
    /// Syncs fail.
    case syncError
    /// Reading fails.
    case readError
  }

  /// What the power loss makes of a pending sector.
  package enum Fate: Sendable, CaseIterable { case applied, dropped, trashed }

  package enum Operation: Sendable { case read, write, truncate, sync, name }

  private struct State {
    var volume: VolumeState
    var count = 0
    /// What was read since a fault of reading was planned.
    var reads = 0
    var total = 0
    var fault: (kind: Fault, from: Int, times: Int)?
    var isOff = false
    var hits = 0

    /// A file is read, which changes nothing, so that it is not counted as an operation.
    mutating func read() -> Fault? {
      guard let fault, fault.kind == .readError else { return nil }
      reads += 1
      guard reads >= fault.from, fault.times > 0 else { return nil }
      self.fault?.times -= 1
      hits += 1
      return .readError
    }
  }

  /// Everything below this folder is on the volume.
  package let folder: String
  private let state: Mutex<State>

  package init(folder: String, seed: UInt64) {
    self.folder = folder
    state = Mutex(State(volume: VolumeState(random: SplitMix64(seed: seed))))
  }

  /// Everything that is in the folder now is on the disk.
  package func settle() throws {
    let paths = (FileManager.default.subpaths(atPath: folder) ?? []).sorted().filter { !$0.hasSuffix("-shm") }
    state.withLock { state in
      state.volume = VolumeState(random: state.volume.random)
      for path in paths.map({ "/" + $0 }) {
        let isFolder = FileSystem.kind(folder + path) == .folder
        state.volume.settle(path, bytes: isFolder ? nil : bytes(path))
      }
      (state.count, state.hits) = (0, 0)
    }
  }

  // MARK: - Faults

  /// Counted from `settle`: the first is 1. `times` is how many operations in a row are hit, of those that the fault is
  /// about.
  package func plan(_ fault: Fault, at number: Int, times: Int = 1) {
    state.withLock { $0.fault = (fault, number, times) }
  }

  /// The same, counted from now.
  package func plan(_ fault: Fault, after operations: Int, times: Int = 1) {
    state.withLock { $0.fault = (fault, $0.count + 1 + operations, times) }
  }

  /// Reading fails after so many reads, so many times.
  package func planReadErrors(after reads: Int, times: Int) {
    state.withLock { ($0.fault, $0.reads) = ((.readError, reads + 1, times), 0) }
  }

  /// Nothing fails any more that was planned.
  package func cancelPlan() { state.withLock { $0.fault = nil } }

  /// Whether the process was stopped.
  package var isOff: Bool { state.withLock { $0.isOff } }

  /// Operations so far, and how many of them failed.
  package var counts: (operations: Int, hits: Int) { state.withLock { ($0.count, $0.hits) } }

  /// Operations in all, whatever was settled meanwhile.
  package var total: Int { state.withLock { $0.total } }

  // MARK: - Changes

  /// Runs `body` with every change of files heard.
  package func watching<Value>(_ body: () throws -> Value) rethrows -> Value {
    try FileSystem.$watcher.withValue(FileSystem.Watcher { [self] in hear($0) }, operation: body)
  }

  private func hear(_ change: FileSystem.Change) -> Int32? {
    guard let path = relative(change.path) else { return nil }
    let operation: Operation =
      switch change {
      case .read: .read
      case .write: .write
      case .truncate: .truncate
      case .sync: .sync
      case .create, .rename, .makeFolder, .remove: .name
      }
    if let fault = begin(operation) {
      if fault == .syncError { failedToSync(path) }
      return fault == .full ? ENOSPC : EIO
    }
    state.withLock { state in
      switch change {
      case .read: break
      case .create, .write, .truncate: state.volume.touch(path)
      case .sync: state.volume.sync(path, bytes)
      case .makeFolder: state.volume.make(path, isFolder: true)
      case .remove: state.volume.remove(path, bytes)
      case .rename(let old, _): state.volume.rename(relative(old) ?? old, to: path, bytes)
      }
    }
    return nil
  }

  /// Counts an operation that is about to happen; returns the fault that hits it.
  func begin(_ operation: Operation) -> Fault? {
    state.withLock { state in
      if operation == .read { return state.read() }
      if state.isOff { return .off }
      state.count += 1
      state.total += 1
      guard let fault = state.fault, fault.kind != .readError, state.count >= fault.from, fault.times > 0,
        Self.concerns(fault.kind, operation)
      else { return nil }
      state.fault?.times -= 1
      state.hits += 1
      if fault.kind == .powerLoss { state.isOff = true }
      return fault.kind
    }
  }

  private static func concerns(_ fault: Fault, _ operation: Operation) -> Bool {
    switch fault {
    case .powerLoss, .off: true
    case .full: operation == .write
    case .writeError: operation != .sync
    case .syncError: operation == .sync
    case .readError: operation == .read
    }
  }

  func opened(_ path: String) { change(path) { $0.make($1) } }

  func wrote(_ path: String, offset: Int, bytes: [UInt8]) {
    change(path) { $0.note(.write(offset: offset, bytes: bytes), of: $1) }
  }

  func truncated(_ path: String, to size: Int) { change(path) { $0.note(.truncate(size), of: $1) } }

  func deleted(_ path: String, durably: Bool) { change(path) { $0.remove($1, durably: durably, bytes) } }

  func synced(_ path: String) { change(path) { $0.sync($1, withName: true, bytes) } }

  func failedToSync(_ path: String) { change(path) { $0.failToSync($1, bytes) } }

  private func change(_ path: String, _ change: (inout VolumeState, String) -> Void) {
    let path = relative(path) ?? path
    state.withLock { change(&$0.volume, path) }
  }

  private func relative(_ path: String) -> String? {
    guard path.hasPrefix(folder) else { return nil }
    let rest = path.dropFirst(folder.count)
    return rest.isEmpty || rest.hasPrefix("/") ? String(rest) : nil
  }

  /// What a file shows; read by nobody who might be heard, or fail.
  private func bytes(_ path: String) -> [UInt8] {
    FileSystem.$watcher.withValue(nil) { (try? AtomicFile.read(folder + path)) ?? [] }
  }

  /// A file has other bytes on the disk than those that were written, and shows them.
  package func replace(_ path: String, _ bytes: [UInt8]) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    state.withLock { $0.volume.settle(relative(path) ?? path, bytes: bytes) }
  }

  // MARK: - Ends

  /// The process is killed: from now on nothing that it tries happens.
  package func stop() {
    state.withLock { $0.isOff = true }
  }

  /// The machine is there again for another process.
  ///
  /// - Parameter losingPower: it was gone meanwhile; otherwise the operating system has kept what was written.
  package func start(losingPower: Bool) throws {
    if losingPower {
      let left = state.withLock { $0.volume.afterPowerLoss(nil, bytes) }
      for name in try FileSystem.names(in: folder) { try FileSystem.remove(folder + "/" + name) }
      try Self.write(left, to: folder)
      try settle()
    }
    state.withLock { ($0.isOff, $0.fault) = (false, nil) }
  }

  /// Writes what the disk holds once the power is gone into a folder of its own.
  ///
  /// - Parameter fate: of every pending sector and name; nil for a random one each.
  package func recover(into target: String, _ fate: Fate? = nil) throws {
    let left = state.withLock { $0.volume.afterPowerLoss(fate, bytes) }
    try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
    try Self.write(left, to: target)
  }

  private static func write(_ left: [(path: String, bytes: [UInt8]?)], to folder: String) throws {
    for (path, bytes) in left {
      guard let bytes else {
        try FileSystem.makeFolder(folder + path)
        continue
      }
      try Data(bytes).write(to: URL(fileURLWithPath: folder + path))
    }
  }
}

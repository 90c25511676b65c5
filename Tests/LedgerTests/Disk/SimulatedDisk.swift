import Foundation
import Harness
import Synchronization

/// What SQLite's files are on a disk that may lose its power or fail, beside what the operating system shows of them.
///
/// Each write is pending until its file is synced. When the power fails, each pending write was applied, was dropped, or
/// left rubbish, sector by sector. A sync that fails decides that for all pending writes at once, and no later sync
/// writes them (as Linux does it), while reading goes on to show them.
final class SimulatedDisk: Sendable {
  enum Fault: Sendable, Equatable {
    /// The process and the machine stop.
    case powerLoss
    /// They have stopped before.
    case off
    /// Writes find no room.
    case full
    /// Writes fail.
    case writeError
    /// Syncs fail.
    case syncError
  }

  /// What the power loss makes of a pending sector.
  enum Fate: Sendable, CaseIterable { case applied, dropped, trashed }

  enum Operation: Sendable { case write, truncate, sync, delete }

  private enum Pending {
    case write(offset: Int, bytes: [UInt8])
    case truncate(Int)
    case delete
  }

  private struct File {
    /// Nil if it does not exist on the disk.
    var durable: [UInt8]?
    var pending: [Pending] = []
  }

  private struct State {
    var files: [String: File] = [:]
    var count = 0
    var fault: (kind: Fault, from: Int, times: Int)?
    var isOff = false
    var random: SplitMix64
    var hits = 0
  }

  /// All files of SQLite below this folder are on the disk.
  let folder: String
  private let state: Mutex<State>

  init(folder: String, seed: UInt64) {
    self.folder = folder
    state = Mutex(State(random: SplitMix64(seed: seed)))
  }

  /// Everything that is in the folder now is on the disk.
  func settle() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasSuffix("-shm") }
    let contents = try names.map { name in
      (folder + "/" + name, [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))))
    }
    state.withLock { state in
      state.files = Dictionary(uniqueKeysWithValues: contents.map { ($0.0, File(durable: $0.1)) })
      state.count = 0
      state.hits = 0
    }
  }

  /// Counted from `settle`: the first is 1. `times` is how many operations in a row are hit, of those that the fault is
  /// about.
  func plan(_ fault: Fault, at number: Int, times: Int = 1) {
    state.withLock { $0.fault = (fault, number, times) }
  }

  /// Operations so far, and how many of them failed.
  var counts: (operations: Int, hits: Int) { state.withLock { ($0.count, $0.hits) } }

  // MARK: - From the VFS

  /// Counts an operation that is about to happen; returns the fault that hits it.
  func begin(_ operation: Operation) -> Fault? {
    state.withLock { state in
      if state.isOff { return .off }
      state.count += 1
      guard let fault = state.fault, state.count >= fault.from, fault.times > 0,
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
    case .full, .writeError: operation == .write
    case .syncError: operation == .sync
    }
  }

  func wrote(_ path: String, offset: Int, bytes: [UInt8]) {
    state.withLock { $0.files[path, default: File()].pending.append(.write(offset: offset, bytes: bytes)) }
  }

  func truncated(_ path: String, to size: Int) {
    state.withLock { $0.files[path, default: File()].pending.append(.truncate(size)) }
  }

  func deleted(_ path: String, durably: Bool) {
    state.withLock { state in
      if durably { state.files[path] = File() } else { state.files[path]?.pending.append(.delete) }
    }
  }

  func synced(_ path: String) {
    state.withLock { state in
      guard var file = state.files[path] else { return }
      file.durable = Self.disk(file) { _ in .applied }
      file.pending = []
      state.files[path] = file
    }
  }

  /// What was pending is as it fell out, for good.
  func failedToSync(_ path: String) {
    state.withLock { state in
      guard var file = state.files[path] else { return }
      file.durable = Self.disk(file) { _ in
        [.applied, .dropped].randomElement(using: &state.random) ?? .dropped
      }
      file.pending = []
      state.files[path] = file
    }
  }

  // MARK: - After the power is gone

  /// Writes what the disk holds into a folder of its own.
  ///
  /// - Parameter fate: of every pending sector; nil for a random one each.
  func recover(into target: String, _ fate: Fate?) throws {
    let files = state.withLock { state in
      state.files.mapValues { file in
        Self.disk(file) { _ in fate ?? Fate.allCases.randomElement(using: &state.random) ?? .applied }
      }
    }
    try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
    for (path, bytes) in files {
      guard let bytes else { continue }
      try Data(bytes).write(to: URL(fileURLWithPath: target + path.dropFirst(folder.count)))
    }
  }

  private static let sector = 512

  private static func disk(_ file: File, _ fate: (Int) -> Fate) -> [UInt8]? {
    var bytes = file.durable
    for pending in file.pending {
      switch pending {
      case .write(let offset, let written):
        for start in stride(from: 0, to: written.count, by: sector) {
          apply(
            fate(start), written[start..<min(start + sector, written.count)], at: offset + start, to: &bytes)
        }
      case .truncate(let size):
        if fate(0) == .applied, let old = bytes, size < old.count { bytes = Array(old.prefix(size)) }
      case .delete: if fate(0) == .applied { bytes = nil }
      }
    }
    return bytes
  }

  private static func apply(
    _ fate: Fate, _ written: ArraySlice<UInt8>, at offset: Int, to bytes: inout [UInt8]?
  ) {
    guard fate != .dropped else { return }
    var file = bytes ?? []
    let end = offset + written.count
    if file.count < end { file += [UInt8](repeating: 0, count: end - file.count) }
    // Rubbish that differs from what was there and from what was to be there.
    let content = fate == .applied ? Array(written) : written.map { $0 ^ 0xA5 }
    file.replaceSubrange(offset..<end, with: content)
    bytes = file
  }
}

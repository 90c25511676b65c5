import Files
import Foundation
import Harness
import Synchronization

@testable import Service

/// A folder on a volume that loses its power, or fails, at the n-th change. It hears of every change that the program
/// makes (`FileSystem.watcher`) and knows which bytes and names are on the disk: a file's bytes once the file was
/// synced, names once their folder was. When the power fails, each other file holds what it held before, what was
/// written, rubbish, or nothing; each change of a name was made or was not.
final class PowerLossVolume: Sendable {
  enum Fault: Sendable { case powerLoss, full, ioError, syncError }

  private typealias Inode = UInt64

  private enum Renaming {
    case add(String, Inode)
    case rename(String, String)
    case remove(String)
  }

  /// A file or a folder. It is held open, so that its number is not given to another one.
  private struct Node {
    let descriptor: Int32
    let isFolder: Bool
    var bytes: [UInt8] = []
    var names: [String: Inode] = [:]
    var pending: [Renaming] = []
  }

  private struct State {
    var nodes: [Inode: Node] = [:]
    /// Paths that have just been made.
    var new: [String] = []
    var count = 0
    var fault: (kind: Fault, at: Int)?
    var hits = 0
    var random: SplitMix64
  }

  let path: String
  private let state: Mutex<State>

  init(path: String, seed: UInt64) {
    self.path = path
    state = Mutex(State(random: SplitMix64(seed: seed)))
  }

  deinit { state.withLock { state in for node in state.nodes.values { close(node.descriptor) } } }

  var changes: Int { state.withLock { $0.count } }
  var hits: Int { state.withLock { $0.hits } }

  /// Runs `body` with every change watched. All that is there before is on the disk.
  func watching(_ fault: Fault?, at number: Int = 0, _ body: () throws -> Void) throws {
    state.withLock { state in
      state.fault = fault.map { ($0, number) }
      for entry in [""] + (FileManager.default.subpaths(atPath: path) ?? []).map({ "/" + $0 }) {
        Self.open(path + entry, &state)
      }
      for inode in state.nodes.keys { Self.settle(inode, &state) }
    }
    try FileSystem.$watcher.withValue(FileSystem.Watcher { [self] change in hear(change) }) { try body() }
  }

  private func hear(_ change: FileSystem.Change) -> Int32? {
    state.withLock { state in
      Self.identify(&state)
      state.count += 1
      if let code = Self.code(change, &state) { return code }
      Self.note(change, &state)
      return nil
    }
  }

  private static func code(_ change: FileSystem.Change, _ state: inout State) -> Int32? {
    guard let fault = state.fault, state.count >= fault.at else { return nil }
    let isWrite = if case .write = change { true } else { false }
    let isSync = if case .sync = change { true } else { false }
    switch fault.kind {
    case .powerLoss: break
    case .full where isWrite, .ioError where !isSync, .syncError where isSync: state.fault = nil
    default: return nil
    }
    state.hits += 1
    return fault.kind == .full ? ENOSPC : EIO
  }

  private static func note(_ change: FileSystem.Change, _ state: inout State) {
    let (folder, name) = (inode(FileSystem.folder(of: change.path)), FileSystem.name(of: change.path))
    switch change {
    case .create(let path), .makeFolder(let path): state.new.append(path)
    case .write, .truncate: break
    case .sync(let path): if let inode = inode(path) { settle(inode, &state) }
    case .rename(let old, _):
      if let folder { state.nodes[folder]?.pending.append(.rename(FileSystem.name(of: old), name)) }
    case .remove: if let folder { state.nodes[folder]?.pending.append(.remove(name)) }
    }
  }

  /// What was made is there by now, and has a number.
  private static func identify(_ state: inout State) {
    for path in state.new {
      guard let number = open(path, &state), let folder = inode(FileSystem.folder(of: path)) else { continue }
      state.nodes[folder]?.pending.append(.add(FileSystem.name(of: path), number))
    }
    state.new = []
  }

  @discardableResult private static func open(_ path: String, _ state: inout State) -> Inode? {
    guard let inode = inode(path) else { return nil }
    if state.nodes[inode] == nil {
      let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
      state.nodes[inode] = Node(descriptor: descriptor, isFolder: FileSystem.kind(path) == .folder)
    }
    return inode
  }

  /// What is shown of a file or folder is on the disk.
  private static func settle(_ inode: Inode, _ state: inout State) {
    guard var node = state.nodes[inode] else { return }
    if node.isFolder {
      node.names = apply(node.pending, to: node.names) { true }
      if node.pending.isEmpty && node.names.isEmpty { node.names = shownNames(node) }
    } else {
      node.bytes = shownBytes(node)
    }
    node.pending = []
    state.nodes[inode] = node
  }

  private static func inode(_ path: String) -> Inode? {
    var info = stat()
    return lstat(path, &info) == 0 ? Inode(info.st_ino) : nil
  }

  private static func shownBytes(_ node: Node) -> [UInt8] {
    let size = Int(lseek(node.descriptor, 0, SEEK_END))
    return [UInt8](unsafeUninitializedCapacity: max(0, size)) { buffer, count in
      count = max(0, pread(node.descriptor, buffer.baseAddress, size, 0))
    }
  }

  private static func shownNames(_ node: Node) -> [String: Inode] {
    let path = "/proc/self/fd/\(node.descriptor)"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return Dictionary(
      uniqueKeysWithValues: names.compactMap { name in inode(path + "/" + name).map { (name, $0) } })
  }

  private static func apply(
    _ changes: [Renaming], to names: [String: Inode], where isMade: () -> Bool
  ) -> [String: Inode] {
    var names = names
    for change in changes where isMade() {
      switch change {
      case .add(let name, let inode): names[name] = inode
      case .rename(let old, let new): if let inode = names.removeValue(forKey: old) { names[new] = inode }
      case .remove(let name): names[name] = nil
      }
    }
    return names
  }

  // MARK: - After the power is gone

  /// Writes what the disk holds into a new folder, and returns that.
  func recover() throws -> RunTestFolder {
    let target = try RunTestFolder(inMemory: true)
    try state.withLock { state in
      Self.identify(&state)
      if let root = Self.inode(path) { try Self.write(root, to: target.path, &state) }
    }
    return target
  }

  private static func write(_ inode: Inode, to target: String, _ state: inout State) throws {
    guard let node = state.nodes[inode] else { return }
    guard node.isFolder else {
      return try Data(bytes(node, &state)).write(to: URL(fileURLWithPath: target))
    }
    try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
    let names = apply(node.pending, to: node.names) { Bool.random(using: &state.random) }
    for (name, inode) in names { try write(inode, to: target + "/" + name, &state) }
  }

  private static func bytes(_ node: Node, _ state: inout State) -> [UInt8] {
    let shown = shownBytes(node)
    guard shown != node.bytes else { return node.bytes }
    switch Int.random(in: 0..<4, using: &state.random) {
    case 0: return node.bytes
    case 1: return shown
    case 2: return shown.map { $0 ^ 0xA5 }
    default: return []
    }
  }
}

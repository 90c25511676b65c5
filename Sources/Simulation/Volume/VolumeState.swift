/// What a volume holds, and what the operating system shows of it: files with their bytes, folders with their names.
///
/// What is written is pending until it is synced: a file for its bytes, a folder for its names. When the power fails,
/// each pending sector is on the disk, is not, or is rubbish, and each pending name was made or was not.
struct VolumeState {
  typealias ID = Int

  /// A pending change of a file.
  enum Change {
    case write(offset: Int, bytes: [UInt8])
    case truncate(Int)
  }

  /// A pending change of a folder.
  enum Naming {
    case add(String, ID)
    case rename(String, to: String)
    case remove(String)
  }

  struct Node {
    let isFolder: Bool
    /// Of a file: what is on the disk.
    var bytes: [UInt8] = []
    var changes: [Change] = []
    /// Of a file: it was changed by writes whose bytes are yet to be read.
    var isDirty = false
    /// Of a folder: on the disk, and as the operating system shows them.
    var durable: [String: ID] = [:]
    var shown: [String: ID] = [:]
    var namings: [Naming] = []
  }

  /// The first is the volume's root.
  private(set) var nodes = [Node(isFolder: true)]
  var random: SplitMix64

  init(random: SplitMix64) { self.random = random }

  static let sector = 512

  // MARK: - Paths

  /// - Parameter path: within the volume, as in `/run/state.sqlite`.
  func id(_ path: some StringProtocol) -> ID? {
    var id = 0
    for name in path.split(separator: "/") {
      guard let next = nodes[id].shown[String(name)] else { return nil }
      id = next
    }
    return id
  }

  private func place(_ path: String) -> (folder: ID, name: String)? {
    guard let slash = path.lastIndex(of: "/"), let folder = id(path[..<slash]), nodes[folder].isFolder else {
      return nil
    }
    return (folder, String(path[path.index(after: slash)...]))
  }

  // MARK: - What happens

  /// - Returns: what stands there; nil if its folder is not known.
  @discardableResult mutating func make(_ path: String, isFolder: Bool = false) -> ID? {
    guard let (folder, name) = place(path) else { return nil }
    if let id = nodes[folder].shown[name] { return id }
    nodes.append(Node(isFolder: isFolder))
    let id = nodes.count - 1
    nodes[folder].shown[name] = id
    nodes[folder].namings.append(.add(name, id))
    return id
  }

  mutating func note(_ change: Change, of path: String) {
    if let id = make(path) { nodes[id].changes.append(change) }
  }

  mutating func touch(_ path: String) { if let id = make(path) { nodes[id].isDirty = true } }

  /// - Parameter read: the bytes that a file shows, by its path.
  mutating func remove(_ path: String, durably: Bool = false, _ read: (String) -> [UInt8]) {
    guard let (folder, name) = place(path), let id = nodes[folder].shown.removeValue(forKey: name) else {
      return
    }
    settleBytes(id, path, read)
    nodes[folder].namings.append(.remove(name))
    if durably { settleName(name, in: folder) }
  }

  mutating func rename(_ old: String, to new: String, _ read: (String) -> [UInt8]) {
    guard let (folder, oldName) = place(old), let (target, newName) = place(new),
      let id = nodes[folder].shown.removeValue(forKey: oldName)
    else { return }
    if let replaced = nodes[target].shown[newName] { settleBytes(replaced, new, read) }
    nodes[target].shown[newName] = id
    if folder == target {
      nodes[folder].namings.append(.rename(oldName, to: newName))
    } else {
      nodes[folder].namings.append(.remove(oldName))
      nodes[target].namings.append(.add(newName, id))
    }
  }

  /// What was written of a file becomes a pending change, since nobody can read it at its path any more.
  private mutating func settleBytes(_ id: ID, _ path: String, _ read: (String) -> [UInt8]) {
    guard nodes[id].isDirty else { return }
    nodes[id].changes = Self.changes(to: read(path))
    nodes[id].isDirty = false
  }

  private static func changes(to bytes: [UInt8]) -> [Change] {
    [.truncate(bytes.count), .write(offset: 0, bytes: bytes)]
  }

  /// - Parameter withName: its name is on the disk too, as SQLite syncs the folder of a file that it has made.
  mutating func sync(_ path: String, withName: Bool = false, _ read: (String) -> [UInt8]) {
    guard let id = id(path) ?? make(path) else { return }
    if nodes[id].isFolder {
      nodes[id].durable = nodes[id].shown
      nodes[id].namings = []
      return
    }
    settleBytes(id, path, read)
    nodes[id].bytes = disk(nodes[id]) { _ in .applied }
    nodes[id].changes = []
    if withName, let (folder, name) = place(path) { settleName(name, in: folder) }
  }

  /// What was pending is as it fell out, for good: no later sync writes it, while reading goes on to show it.
  mutating func failToSync(_ path: String, _ read: (String) -> [UInt8]) {
    guard let id = id(path), !nodes[id].isFolder else { return }
    settleBytes(id, path, read)
    var random = random
    nodes[id].bytes = disk(nodes[id]) { _ in Bool.random(using: &random) ? .applied : .dropped }
    self.random = random
    nodes[id].changes = []
  }

  private mutating func settleName(_ name: String, in folder: ID) {
    nodes[folder].durable[name] = nodes[folder].shown[name]
    nodes[folder].namings.removeAll {
      switch $0 {
      case .add(let other, _), .remove(let other): other == name
      case .rename(_, let new): new == name
      }
    }
  }

  /// Puts a file on the disk as it is.
  mutating func settle(_ path: String, bytes: [UInt8]?) {
    guard let id = make(path, isFolder: bytes == nil), let (folder, name) = place(path) else { return }
    nodes[id].bytes = bytes ?? []
    nodes[id].changes = []
    nodes[id].isDirty = false
    settleName(name, in: folder)
  }

  // MARK: - After the power is gone

  /// What the disk holds: paths, with the bytes of files; folders come before what is in them.
  ///
  /// - Parameter fate: of every pending sector and name; nil for a random one each.
  mutating func afterPowerLoss(
    _ fate: SimulatedVolume.Fate?, _ read: (String) -> [UInt8]
  ) -> [(path: String, bytes: [UInt8]?)] {
    readAll(0, "", read)
    var found: [(String, [UInt8]?)] = []
    write(0, "", fate, into: &found)
    return found
  }

  private mutating func readAll(_ id: ID, _ path: String, _ read: (String) -> [UInt8]) {
    guard nodes[id].isFolder else { return settleBytes(id, path, read) }
    for (name, id) in nodes[id].shown.sorted(by: { $0.value < $1.value }) {
      readAll(id, path + "/" + name, read)
    }
  }

  private mutating func write(
    _ id: ID, _ path: String, _ fate: SimulatedVolume.Fate?, into found: inout [(String, [UInt8]?)]
  ) {
    guard nodes[id].isFolder else {
      var random = random
      let bytes = disk(nodes[id]) { _ in
        fate ?? SimulatedVolume.Fate.allCases.randomElement(using: &random) ?? .applied
      }
      self.random = random
      return found.append((path, bytes))
    }
    if id != 0 { found.append((path, nil)) }
    var names = nodes[id].durable
    for naming in nodes[id].namings
    where fate.map({ $0 != .dropped }) ?? Bool.random(using: &random) {
      switch naming {
      case .add(let name, let id): names[name] = id
      case .remove(let name): names[name] = nil
      case .rename(let old, let new):
        if let id = names.removeValue(forKey: old) { names[new] = id }
      }
    }
    for (name, id) in names.sorted(by: { $0.value < $1.value }) {
      write(id, path + "/" + name, fate, into: &found)
    }
  }

  /// A file's bytes with its pending changes, each of which has come to something.
  private func disk(_ node: Node, _ fate: (Int) -> SimulatedVolume.Fate) -> [UInt8] {
    var bytes = node.bytes
    for change in node.changes {
      switch change {
      case .truncate(let size):
        if size < bytes.count, fate(0) == .applied { bytes.removeLast(bytes.count - size) }
      case .write(let offset, let written):
        for start in stride(from: 0, to: written.count, by: Self.sector) {
          let sector = written[start..<min(start + Self.sector, written.count)]
          let place = offset + start..<offset + start + sector.count
          if place.upperBound <= bytes.count, bytes[place].elementsEqual(sector) { continue }
          Self.apply(fate(start), sector, at: place, to: &bytes)
        }
      }
    }
    return bytes
  }

  private static func apply(
    _ fate: SimulatedVolume.Fate, _ written: ArraySlice<UInt8>, at place: Range<Int>, to bytes: inout [UInt8]
  ) {
    guard fate != .dropped else { return }
    if bytes.count < place.upperBound {
      bytes += [UInt8](repeating: 0, count: place.upperBound - bytes.count)
    }
    // Rubbish differs from what was there and from what was to be there. Bytes that are the same before and after are
    // spared, as disks do with those around the ones that are written.
    for (index, byte) in zip(place, written) where bytes[index] != byte {
      bytes[index] = fate == .applied ? byte : byte ^ 0xA5
    }
  }
}

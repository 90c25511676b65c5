/// A hash table from byte strings to non-negative 32-bit numbers, made for look-ups without allocation.
struct ByteTable {
  private struct Entry {
    var hash: UInt32
    var start: Int32
    var length: Int32
    var value: Int32
  }

  /// All keys, one after the other.
  private var keys: [UInt8] = []
  private var entries: [Entry] = []
  /// Open addressing: the index of an entry, or −1. The count is a power of two.
  private var slots: [Int32]

  init(capacity: Int = 16) {
    var slotCount = 16
    while slotCount < capacity * 2 { slotCount *= 2 }
    slots = Array(repeating: -1, count: slotCount)
  }

  var count: Int { entries.count }
  var keyBytes: Int { keys.count }

  mutating func removeAll() {
    keys.removeAll(keepingCapacity: true)
    entries.removeAll(keepingCapacity: true)
    for slot in slots.indices { slots[slot] = -1 }
  }

  subscript(key: UnsafeBufferPointer<UInt8>) -> Int32? {
    let hash = Self.hash(key)
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] >= 0 {
      let entry = entries[Int(slots[slot])]
      if entry.hash == hash, matches(entry, key) { return entry.value }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  subscript(key: [UInt8]) -> Int32? { key.withUnsafeBufferPointer { self[$0] } }

  /// Adds a key that is not there yet.
  mutating func insert(_ key: UnsafeBufferPointer<UInt8>, _ value: Int32) {
    if (entries.count + 1) * 2 > slots.count { grow() }
    let hash = Self.hash(key)
    place(Int32(entries.count), hash)
    entries.append(Entry(hash: hash, start: Int32(keys.count), length: Int32(key.count), value: value))
    keys.append(contentsOf: key)
  }

  mutating func insert(_ key: [UInt8], _ value: Int32) {
    key.withUnsafeBufferPointer { insert($0, value) }
  }

  private mutating func place(_ entry: Int32, _ hash: UInt32) {
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = entry
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: slots.count * 2)
    for (index, entry) in entries.enumerated() { place(Int32(index), entry.hash) }
  }

  private func matches(_ entry: Entry, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
    guard Int(entry.length) == key.count else { return false }
    let start = Int(entry.start)
    for i in 0..<key.count where keys[start + i] != key[i] { return false }
    return true
  }

  private static func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt32 {
    var hash = UInt64(key.count) &* 0x9E37_79B9_7F4A_7C15
    var i = 0
    let raw = UnsafeRawBufferPointer(key)
    while i + 8 <= key.count {
      hash = (hash ^ raw.loadUnaligned(fromByteOffset: i, as: UInt64.self)) &* 0xFF51_AFD7_ED55_8CCD
      hash ^= hash >> 32
      i += 8
    }
    var rest: UInt64 = 0
    while i < key.count {
      rest = rest << 8 | UInt64(key[i])
      i += 1
    }
    hash = (hash ^ rest) &* 0xC4CE_B9FE_1A85_EC53
    return UInt32(truncatingIfNeeded: hash ^ (hash >> 29))
  }
}

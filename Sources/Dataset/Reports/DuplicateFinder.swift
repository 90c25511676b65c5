/// Finds rows with the same hash, in eight bytes a row: the upper half of a hash beside the row's number, sorted; rows
/// that agree in that half are then compared by their whole hashes.
enum DuplicateFinder {
  static func find(in table: TokenTable) -> DuplicateRows {
    var keys: [UInt64] = []
    guard table.count <= Int(UInt32.max) else { return DuplicateRows() }
    keys.reserveCapacity(table.count)
    for number in 0..<table.count {
      let hash = table.entry(number).hash
      // Later parts of a row that was split have none.
      if hash != 0 { keys.append(hash & 0xFFFF_FFFF_0000_0000 | UInt64(number)) }
    }
    sort(&keys)
    var found: [[Int]] = []
    var duplicates = DuplicateRows()
    var start = 0
    while start < keys.count {
      var end = start + 1
      while end < keys.count, keys[end] >> 32 == keys[start] >> 32 { end += 1 }
      if end - start > 1 {
        let rows = keys[start..<end].map { Int($0 & 0xFFFF_FFFF) }
        for group in groups(rows, table) {
          duplicates.count += group.count - 1
          found.append(Array(group.prefix(DuplicateRows.mostLines)))
          if found.count > 1000 { found = first(found) }
        }
      }
      start = end
    }
    duplicates.groups = first(found).map { $0.map { Int(table.entry($0).line) } }
    return duplicates
  }

  /// Sorts within the array's own memory, but for a small part: `Array.sort` takes half as much again. Numbers are brought to
  /// those with the same highest byte, and each of these parts is sorted by itself.
  static func sort(_ keys: inout [UInt64]) {
    var ends = [Int](repeating: 0, count: 256)
    for key in keys { ends[Int(key >> 56)] += 1 }
    for byte in 1..<256 { ends[byte] += ends[byte - 1] }
    let starts = [0] + ends.dropLast()
    keys.withUnsafeMutableBufferPointer { keys in
      var next = starts
      for byte in 0..<256 {
        while next[byte] < ends[byte] {
          let own = Int(keys[next[byte]] >> 56)
          if own != byte { keys.swapAt(next[byte], next[own]) }
          next[own] += 1
        }
      }
      for byte in 0..<256 {
        var part = UnsafeMutableBufferPointer(rebasing: keys[starts[byte]..<ends[byte]])
        part.sort()
      }
    }
  }

  /// The groups that begin first in the file.
  private static func first(_ groups: [[Int]]) -> [[Int]] {
    Array(groups.sorted { $0[0] < $1[0] }.prefix(DuplicateRows.mostGroups))
  }

  /// Rows with one and the same hash, those that have none like them left out.
  private static func groups(_ rows: [Int], _ table: TokenTable) -> [[Int]] {
    Dictionary(grouping: rows) { table.entry($0).hash }.values.filter { $0.count > 1 }
  }
}

extension TokenRow {
  /// Of ids and marks: multiply and mix (the finalizer of SplitMix64). Never 0.
  var hash: UInt64 {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for token in marked {
      state = (state ^ UInt64(UInt32(bitPattern: token))) &* 0xBF58_476D_1CE4_E5B9
      state ^= state >> 31
      state = state &* 0x94D0_49BB_1331_11EB
      state ^= state >> 29
    }
    return state == 0 ? 1 : state
  }
}

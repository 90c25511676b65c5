import Foundation

/// What the system says of this process's memory, in bytes; nil where there is no /proc.
enum MemoryFigures {
  static var virtualBytes: Int? { field(0) }
  static var residentBytes: Int? { field(1) }

  private static func field(_ place: Int) -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
    let fields = text.split(separator: " ")
    return fields.count > place ? Int(fields[place]).map { $0 * sysconf(Int32(_SC_PAGESIZE)) } : nil
  }

  /// By how much `body` and what it returns make the process larger. Other tests run beside this one, so that the least
  /// of several measurements is taken.
  static func growth<Held>(of body: () throws -> Held) rethrows -> Int? {
    var least: Int?
    for _ in 0..<5 {
      guard let before = virtualBytes else { return nil }
      let held = try body()
      guard let after = virtualBytes else { return nil }
      withExtendedLifetime(held) { least = min(least ?? .max, max(0, after - before)) }
    }
    return least
  }

  /// By how many bytes the resident memory grows between the first half and the end of `body`, which calls `sample`
  /// a hundred times. What other tests of this process take meanwhile comes and goes, while a leak is there each time:
  /// the least of three tries, or the first that is below `limit`.
  static func slope(limit: Int, of body: (_ sample: () -> Void) throws -> Void) rethrows -> Int {
    var least = Int.max
    for _ in 0..<3 where least >= limit {
      var memory: [Int] = []
      try body { memory.append(residentBytes ?? 0) }
      let early = memory.dropFirst(memory.count / 5).prefix(memory.count * 3 / 10).min() ?? 0
      least = min(least, (memory.suffix(memory.count * 3 / 10).min() ?? 0) - early)
    }
    return least
  }
}

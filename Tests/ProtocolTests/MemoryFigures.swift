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
}

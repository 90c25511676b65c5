import Foundation

/// Memory of this process, in bytes. Tests of a process run side by side, and what others take counts as well: whoever
/// measures does so in a process of its own, `await #expect(processExitsWith: .success) { ... }`.
package enum OwnMemory {
  package static func residentBytes() throws -> Int { try pages(1) }

  /// Address space, whether or not anything has been written there.
  package static func virtualBytes() throws -> Int { try pages(0) }

  /// By how many bytes of address space each of 256 values makes the process larger while all are held: what is freed
  /// and used again hides nothing.
  package static func virtualBytes<Held>(perValue make: () throws -> Held) throws -> Int {
    let before = try virtualBytes()
    let held = try (0..<256).map { _ in try make() }
    return try withExtendedLifetime(held) { (try virtualBytes() - before) / 256 }
  }

  /// By how many resident bytes `body` grows between the first half and the end; it calls `sample` a hundred times.
  package static func growth(of body: (_ sample: () throws -> Void) throws -> Void) throws -> Int {
    var memory: [Int] = []
    try body { memory.append(try residentBytes()) }
    let early = memory.dropFirst(memory.count / 5).prefix(memory.count * 3 / 10).min() ?? 0
    return (memory.suffix(memory.count * 3 / 10).min() ?? 0) - early
  }

  private static func pages(_ column: Int) throws -> Int { try memoryPages(getpid(), column) * pageBytes }
}

/// Prints what a test printed in a process of its own, of which nobody would see anything otherwise.
package func printOutput(_ bytes: [UInt8]?) { print(String(decoding: bytes ?? [], as: UTF8.self)) }

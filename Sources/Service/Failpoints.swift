import Foundation
import Logging
import Synchronization

/// Faults that are asked for by name, for tests of what the programs do about them: `cluster/testbed/README.md`.
///
/// They come from the environment alone, `NL_FAILPOINTS="NAME[=VALUE][@COUNT],…"`, are read once at the start, and are
/// told of loudly. With a count, a fault happens at the n-th pass only, otherwise at every one. Each process counts for
/// itself; a coordinator's local workers inherit its environment.
public final class Failpoints: Sendable {
  public static let variable = "NL_FAILPOINTS"
  public static let none = Failpoints(entries: [:])

  private struct Entry: Sendable {
    var value: Failpoint.Value?
    var count: Int?
    var passes = 0
  }

  private let entries: Mutex<[Failpoint: Entry]>

  private init(entries: [Failpoint: Entry]) { self.entries = Mutex(entries) }

  /// Those of this process's environment.
  ///
  /// - Throws: `ServiceError` that names the entry which cannot be read.
  public static func ofEnvironment() throws -> Failpoints {
    try Failpoints(parsing: ProcessInfo.processInfo.environment[variable] ?? "")
  }

  /// Reads `NAME[=VALUE][@COUNT],…`.
  ///
  /// - Throws: `ServiceError` that names the entry which cannot be read.
  public convenience init(parsing text: String) throws {
    var entries: [Failpoint: Entry] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: text.isEmpty) {
      let (name, entry) = try Self.entry(part.trimmingCharacters(in: .whitespaces))
      guard entries.updateValue(entry, forKey: name) == nil else {
        throw ServiceError("\(Self.variable): \(name.rawValue) is given twice")
      }
    }
    self.init(entries: entries)
  }

  private static func entry(_ text: String) throws -> (Failpoint, Entry) {
    func error(_ reason: String) -> ServiceError { ServiceError("\(Self.variable): \"\(text)\" \(reason)") }
    let counted = text.split(separator: "@", omittingEmptySubsequences: false)
    let named = counted[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let name = Failpoint(rawValue: String(named[0])) else {
      let known = Failpoint.allCases.map(\.rawValue).joined(separator: ", ")
      throw error("is not one of \(known)")
    }
    var entry = Entry()
    if counted.count > 1 {
      guard counted.count == 2, let count = Int(counted[1]), count >= 1 else {
        throw error("has a count that is not a whole number from 1")
      }
      guard name.happens else { throw error("is a setting, which has no count") }
      entry.count = count
    }
    let given = named.count == 2 ? String(named[1]) : nil
    guard let value = name.kind.read(given) else { throw error("must be \(name.rawValue)\(name.kind.form)") }
    entry.value = value
    return (name, entry)
  }

  /// Counts a pass, and says whether the fault is to happen in it.
  func fires(_ name: Failpoint) -> Bool {
    entries.withLock { entries in
      guard entries[name] != nil else { return false }
      entries[name]?.passes += 1
      return entries[name]?.count.map { $0 == entries[name]?.passes } ?? true
    }
  }

  /// Ends this process as SIGKILL does, if the fault is to happen in this pass.
  func die(at name: Failpoint) {
    if fires(name) { Self.die() }
  }

  /// Ends this process as SIGKILL does.
  static func die() -> Never {
    kill(getpid(), SIGKILL)
    // The signal may be taken by another thread; nothing more is to happen in this one.
    while true { sleep(1) }
  }

  /// The number given for a failpoint; nil if it is not asked for. Counts no pass.
  func number(_ name: Failpoint) -> Double? {
    guard case .number(let number) = value(name) else { return nil }
    return number
  }

  /// The word given for a failpoint; nil if it is not asked for. Counts no pass.
  func word(_ name: Failpoint) -> String? {
    guard case .word(let word) = value(name) else { return nil }
    return word
  }

  private func value(_ name: Failpoint) -> Failpoint.Value? { entries.withLock { $0[name]?.value } }

  /// Nobody is to have failpoints without knowing.
  func announce(_ logger: Logger) {
    let names = entries.withLock { entries in entries.keys.map(\.rawValue).sorted() }
    guard !names.isEmpty else { return }
    logger.critical("FAULTS ARE MADE ON PURPOSE: \(Self.variable) asks for \(names.joined(separator: ", "))")
  }
}

import Foundation
import Service

/// What a process has used of the machine, by the kernel's books in /proc.
struct ProcessUsage: Sendable, Equatable {
  /// Processor time outside and inside the kernel, all threads together, in seconds; counted in hundredths.
  var userSeconds: Double
  var systemSeconds: Double
  /// The largest resident size so far, in bytes.
  var peakResidentBytes: Int

  var processorSeconds: Double { userSeconds + systemSeconds }

  /// Nil if there is no such process (any more), or no /proc.
  init?(process: Int32) {
    guard let stat = Self.text("/proc/\(process)/stat"), let status = Self.text("/proc/\(process)/status"),
      let usage = ProcessUsage(stat: stat, status: status)
    else { return nil }
    self = usage
  }

  /// Reads what proc(5) says of /proc/PID/stat and /proc/PID/status.
  init?(stat: String, status: String) {
    // The program's name stands in brackets, and may hold any character.
    guard let end = stat.lastIndex(of: ")") else { return nil }
    let fields = stat[stat.index(after: end)...].split(separator: " ")
    let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }?
      .split(whereSeparator: \.isWhitespace).dropFirst().first
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]),
      let kibibytes = peak.flatMap({ Int($0) })
    else { return nil }
    let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    userSeconds = user / ticks
    systemSeconds = system / ticks
    peakResidentBytes = kibibytes * 1024
  }

  private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

  /// Bytes that the calling thread has given to the system to write so far; nil without /proc.
  static func ownWrittenBytes() -> Int? {
    text("/proc/thread-self/io")?.split(separator: "\n").first { $0.hasPrefix("wchar:") }?
      .split(separator: " ").last.flatMap { Int($0) }
  }
}

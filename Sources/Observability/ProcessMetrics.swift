import CoreMetrics
import Foundation

/// What Prometheus wants to know of every process, under its usual names; read when somebody asks.
public enum ProcessMetrics {
  public static func collect(into registry: MetricsRegistry) {
    registry.describe("process_resident_memory_bytes", "Resident memory size in bytes.")
    registry.describe("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")
    registry.describe(
      "process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.")
    let memory = Meter(label: "process_resident_memory_bytes", factory: registry)
    let cpu = registry.makeFloatingPointCounter(label: "process_cpu_seconds_total", dimensions: [])
    Meter(label: "process_start_time_seconds", factory: registry).set(Date().timeIntervalSince1970)
    let spent = Growth()
    registry.beforeReading {
      if let bytes = residentBytes() { memory.set(bytes) }
      cpu.increment(by: spent.growth(to: processorSeconds()))
    }
  }

  /// Processor time of this process, all threads together, in seconds.
  public static func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// The memory that this process has now, in bytes; nil where there is no /proc.
  public static func residentBytes() -> Int? {
    guard let line = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
    let fields = line.split(separator: " ")
    return fields.count > 1 ? Int(fields[1]).map { $0 * sysconf(Int32(_SC_PAGESIZE)) } : nil
  }
}

/// By how much something that only grows has grown since it was last asked.
private final class Growth: @unchecked Sendable {
  private let lock = NSLock()
  private var last = 0.0

  func growth(to now: Double) -> Double {
    lock.withLock {
      defer { last = max(last, now) }
      return max(0, now - last)
    }
  }
}

import Foundation

/// The processes that a program has started; none if it has ended.
package func children(of parent: Int32) -> [Int32] {
  // Children belong to the thread that started them.
  let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(parent)/task")) ?? []
  return tasks.flatMap { task in
    ((try? String(contentsOfFile: "/proc/\(parent)/task/\(task)/children", encoding: .utf8)) ?? "")
      .split(separator: " ").compactMap { Int32($0) }
  }
}

/// Resident bytes of a process.
///
/// - Throws: `HarnessError` if there is no such process.
package func residentBytes(_ process: Int32) throws -> Int { try memoryPages(process, 1) * pageBytes }

let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))

/// A number of /proc/PID/statm: its columns 0 and 1 are address space and resident memory.
func memoryPages(_ process: Int32, _ column: Int) throws -> Int {
  let text = (try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8)) ?? ""
  guard let pages = text.split(separator: " ").dropFirst(column).first.flatMap({ Int($0) }) else {
    throw HarnessError("process \(process) has no size: it has ended")
  }
  return pages
}

/// Whether all of a process stands still, as after SIGSTOP.
package func isStopped(_ process: Int32) -> Bool {
  let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
  return text.split(separator: ")").last?.split(separator: " ").first == "T"
}

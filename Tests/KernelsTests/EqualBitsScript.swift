import Foundation

/// A script that compiles the kernels in several ways, runs the calls of `Tests/AArch64/hashes.c` in each and compares
/// the hashes. With `--tools` it only says whether all that it needs is there.
struct EqualBitsScript {
  private let path: URL

  /// - Parameter folder: where in `Tests` its `equal.sh` is.
  init(folder: String) {
    path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "\(folder)/equal.sh")
  }

  var hasItsTools: Bool { run("--tools").status == 0 }

  func run(_ arguments: String...) -> (status: Int32, output: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = [path.path()] + arguments
    process.standardOutput = pipe
    process.standardError = pipe
    guard (try? process.run()) != nil else { return (-1, "sh does not start") }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}

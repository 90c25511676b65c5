import Foundation
import Testing

/// Every function of Kernels.h, on every instruction set of this CPU and compiled for AArch64 and run under qemu:
/// `Tests/AArch64/equal.sh` compares the hashes. Runs where clang, the cross libraries and qemu are installed.
@Suite struct AArch64Tests {
  private static let script = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "AArch64/equal.sh")

  private static func run(_ arguments: String...) -> (status: Int32, output: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = [script.path()] + arguments
    process.standardOutput = pipe
    process.standardError = pipe
    guard (try? process.run()) != nil else { return (-1, "sh does not start") }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  @Test(
    .enabled("clang, cross libraries or qemu are missing; see Tests/AArch64/equal.sh") {
      run("--tools").status == 0
    })
  func sameBitsOnAArch64() {
    let (status, output) = Self.run()
    #expect(status == 0, "\(output)")
    #expect(output.contains("aarch64 (neon): "), "\(output)")
  }
}

import Foundation

/// A volume of its own with little room; nil where it may not be mounted (that needs root).
package final class SmallVolume {
  package let path: String

  package init?(kibibytes: Int) {
    path = NSTemporaryDirectory() + "nl-volume-\(UUID().uuidString)"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard Self.run("mount", "-t", "tmpfs", "-o", "size=\(kibibytes)k", "tmpfs", path) else {
      try? FileManager.default.removeItem(atPath: path)
      return nil
    }
  }

  deinit {
    _ = Self.run("umount", "-l", path)
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Takes all the room that is left.
  package func fill() throws {
    try Data().write(to: URL(fileURLWithPath: path + "/filler"))
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path + "/filler"))
    while (try? file.write(contentsOf: Data(count: 4096))) != nil {}
    try file.close()
  }

  package func makeRoom() throws { try FileManager.default.removeItem(atPath: path + "/filler") }

  package static let isPermitted = SmallVolume(kibibytes: 64) != nil

  private static func run(_ arguments: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}

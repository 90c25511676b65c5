import Foundation
import JSON
import Ledger
import Testing

@testable import Service

/// A folder that is gone with the object.
final class RunTestFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "nl-run-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: file(name), atomically: false, encoding: .utf8)
  }

  func text(_ name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }

  /// The paths of all files below, relative to the folder.
  func files() -> [String] { (FileManager.default.subpaths(atPath: path) ?? []).sorted() }
}

/// A volume of its own with little room; nil where it may not be mounted (that needs root).
final class SmallVolume {
  let path: String

  init?(kibibytes: Int) {
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
  func fill() throws {
    try Data().write(to: URL(fileURLWithPath: path + "/filler"))
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path + "/filler"))
    while (try? file.write(contentsOf: Data(count: 4096))) != nil {}
    try file.close()
  }

  func makeRoom() throws { try FileManager.default.removeItem(atPath: path + "/filler") }

  static let isPermitted = SmallVolume(kibibytes: 64) != nil

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

func runRecord(_ name: String) -> RunRecord {
  RunRecord(
    experimentName: name, baseModelPath: "/models/tiny", configuration: ["experiment_name": .string(name)],
    program: "tests")
}

/// The description of the error that `body` throws; empty if it throws none.
func errorText(_ body: () throws -> Void) -> String {
  do { try body() } catch { return "\(error)" }
  return ""
}

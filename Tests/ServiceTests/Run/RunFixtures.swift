import Foundation
import JSON
import Ledger
import Testing

@testable import Service

/// A folder that is gone with the object.
final class RunTestFolder {
  let path: String

  /// - Parameter inMemory: where syncing costs nothing, if there is such a volume.
  init(inMemory: Bool = false) throws {
    let memory = "/dev/shm/"
    let root = inMemory && access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
    path = root + "nl-run-\(UUID().uuidString)"
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

func runRecord(_ name: String) -> RunRecord {
  RunRecord(
    experimentName: name, baseModelPath: "/models/tiny", configuration: ["experiment_name": .string(name)],
    program: "tests")
}

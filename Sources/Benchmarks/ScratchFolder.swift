import Files
import Foundation
import Service

/// A folder for what a benchmark writes, to be removed by whoever made it.
struct ScratchFolder: Sendable {
  let path: String

  /// - Parameter parent: where it is made.
  /// - Throws: `FileError` if that is not possible there.
  init(in parent: String) throws {
    var template = Array((parent + "/nl-bench-XXXXXX").utf8CString)
    guard let made = mkdtemp(&template) else {
      throw FileError(path: parent, doing: "making a folder in it", code: errno)
    }
    path = String(cString: made)
  }

  /// What cannot be removed stays.
  func remove() { try? FileSystem.remove(path) }
}

import Foundation

/// The other programs, which lie in the folder of the one that runs.
package enum SiblingProgram {
  /// - Throws: `ServiceError` if it is not there.
  package static func find(_ name: String) throws -> URL { try LocalWorkers.besideThisProgram(name) }
}

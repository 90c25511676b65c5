import Foundation
import JSON

/// What the program is at, which every JSON line of its log says: run, step, worker and the like. For any thread.
public final class LogContext: @unchecked Sendable {
  private let lock = NSLock()
  private var members = JSONObject()

  public init() {}

  /// Nil removes it.
  public func set(_ key: String, _ value: JSONValue?) { lock.withLock { members[key] = value } }

  var now: JSONObject { lock.withLock { members } }
}

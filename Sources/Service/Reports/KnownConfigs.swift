import JSON
import NestedLearning
import Synchronization

/// Configs of recorded runs that have been read before: whoever looks at a run looks at it often, and its config stays as it
/// is.
final class KnownConfigs: Sendable {
  private struct Known: Sendable {
    let recorded: JSONValue
    let config: NestedLearningConfig
  }

  static let shared = KnownConfigs()
  private let known = Mutex<[String: Known]>([:])
  private static let most = 64

  /// - Parameters:
  ///   - recorded: as the ledger has it
  ///   - file: what is named where something is wrong with it
  func config(_ recorded: JSONValue, file: String) throws -> NestedLearningConfig {
    if let known = known.withLock({ $0[file] }), known.recorded == recorded { return known.config }
    var members = recorded.object ?? JSONObject()
    members["inputs_sha256"] = nil
    let config = try NestedLearningConfig(object: members, file: file)
    known.withLock { known in
      if known.count >= Self.most { known = [:] }
      known[file] = Known(recorded: recorded, config: config)
    }
    return config
  }
}

import Foundation
import JSON
import LanguageModel
import Tensors
import Training
import WireProtocol

/// The models that a worker has loaded, the one that was used last at the end. What it was not used for longest goes
/// when there is no room for another, so that a worker that changes between runs need not load each time.
struct LoadedModels {
  /// What makes a loaded model fit a run.
  struct Key: Equatable {
    let sha256: String
    let trainable: JSONValue
    let layout: TierLayout
    let precision: Precision
    let recomputesLayers: Bool
    /// What gradients are of; nil: the cross entropy of every trained token.
    let objective: Objective?

    /// - Throws: `ServiceError` for an objective that this program does not know.
    init(_ run: EnterRun, precision: Precision) throws {
      objective = try run.objective.map { json in
        guard let objective = Objective(json: json) else {
          throw ServiceError(
            "the run has an objective that this program does not know: \(json.text)",
            remedy: "install the coordinator's release here")
        }
        return objective
      }
      sha256 = run.modelSHA256
      trainable = run.trainable
      layout = TierLayout(run)
      self.precision = precision
      recomputesLayers = run.recomputesLayers
    }
  }

  struct Entry {
    let key: Key
    let model: any TrainableNetwork
    /// What it takes of memory, about.
    let bytes: Int
    /// The version of each tier that it has; nil before the first.
    var versions: [Int?]
    /// SHA-256 of each tier's parameters, as they came.
    var digests: [String]

    init(key: Key, model: any TrainableNetwork, bytes: Int) {
      (self.key, self.model, self.bytes) = (key, model, bytes)
      (versions, digests) = ([], [])
      forgetParameters()
    }

    /// No parameters have come.
    mutating func forgetParameters() {
      versions = Array(repeating: nil, count: key.layout.tiers.count)
      digests = Array(repeating: "", count: key.layout.tiers.count)
    }
  }

  /// Bytes of all models together, beside the one in use.
  var limit = usualLimit
  private(set) var entries: [Entry] = []
  /// Whether the last one is in use.
  private var isInUse = false

  /// Half of the machine's memory: weights are mapped files, which the system drops from memory when it must.
  static let usualLimit = Int(ProcessInfo.processInfo.physicalMemory / 2)

  /// The one in use.
  var current: Entry? {
    get { isInUse ? entries.last : nil }
    set {
      guard isInUse, let newValue, !entries.isEmpty else { return }
      entries[entries.count - 1] = newValue
    }
  }

  var count: Int { entries.count }

  /// Takes up a model that is loaded, as it was before any parameters came.
  ///
  /// - Returns: false if there is none
  mutating func take(_ key: Key) -> Bool {
    isInUse = false
    guard let place = entries.firstIndex(where: { $0.key == key }) else { return false }
    var entry = entries.remove(at: place)
    entry.forgetParameters()
    entries.append(entry)
    isInUse = true
    return true
  }

  mutating func makeRoom(for bytes: Int) {
    isInUse = false
    while !entries.isEmpty, entries.reduce(bytes, { $0 + $1.bytes }) > limit { entries.removeFirst() }
  }

  mutating func add(_ entry: Entry) {
    entries.append(entry)
    isInUse = true
  }

  /// About what a model takes: its files, and as much again in f32 if all of it is trained.
  static func bytes(of folder: ModelFolder, trainsAll: Bool) throws -> Int {
    let files = try folder.weightFiles().reduce(0) { sum, path in
      sum + ((try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0)
    }
    return trainsAll ? 3 * files : files
  }
}

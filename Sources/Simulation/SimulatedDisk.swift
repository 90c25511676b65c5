import JSON
import NestedLearning

/// What a coordinator has written and synced, and the next one finds: the ledger's rows, and snapshots. Every write is
/// one transaction, which a crash leaves undone or done, never half done.
struct SimulatedDisk {
  struct Snapshot {
    let step: Int
    let trainer: TrainerSnapshot
    let progress: JSONValue
    let digest: String
  }

  private(set) var term: UInt64 = 0
  /// Fingerprints of the digests of committed steps: step 1 is the first.
  private var steps: [UInt64] = []
  private(set) var evaluations: [Int: Double] = [:]
  private(set) var snapshots: [Snapshot] = []
  /// Milliseconds of the wall clock at each commit, for the record alone.
  private(set) var lastTimestamp = 0

  var lastStep: Int { steps.count }

  mutating func beginTerm() { term += 1 }

  /// - Returns: what is wrong with the commit; nil if nothing is.
  mutating func commit(step: Int, digest: String, term: UInt64, timestamp: Int) -> String? {
    guard term == self.term else { return "step \(step) was committed in term \(term), which is over" }
    guard step == steps.count + 1 else {
      return "step \(step) was committed after step \(steps.count)"
    }
    steps.append(Self.fingerprint(of: digest))
    lastTimestamp = timestamp
    return nil
  }

  /// Whether a step that is computed again comes out as it was recorded.
  func agrees(step: Int, digest: String) -> Bool { steps[step - 1] == Self.fingerprint(of: digest) }

  private static func fingerprint(of digest: String) -> UInt64 {
    var fingerprint = Fingerprint()
    for byte in digest.utf8 { fingerprint.add(UInt64(byte)) }
    return fingerprint.value
  }

  mutating func record(evaluation loss: Double, step: Int) { evaluations[step] = loss }

  mutating func record(_ snapshot: Snapshot) {
    snapshots.append(snapshot)
    if snapshots.count > 2 { snapshots.removeFirst() }
  }
}

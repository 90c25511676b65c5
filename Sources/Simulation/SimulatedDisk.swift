import Coordination
import JSON
import Ledger
import NestedLearning
import Service
import Training

/// What a coordinator has written and synced, and the next one finds: the ledger's rows, snapshots, the best
/// checkpoint. Every write is one transaction, which a crash leaves undone or done, never half done.
struct SimulatedDisk {
  struct Snapshot {
    let step: Int
    let trainer: TrainerSnapshot
    let progress: RunProgress
    let digest: String
  }

  /// A hand-out whose result counts.
  struct Row: Equatable {
    struct Key: Hashable {
      let term: UInt64
      let attempt: Int
    }

    let key: Key
    let step: Int
    let identity: String
    /// Whether another identity came to the same.
    var isVerified: Bool
  }

  private(set) var term: UInt64 = 0
  /// Fingerprints of the digests of committed steps: step 1 is the first.
  private var steps: [UInt64] = []
  private(set) var evaluations: [Int: Double] = [:]
  /// What a curriculum follows of them.
  private(set) var accuracies: [Int: EvaluatedAccuracy] = [:]
  /// First steps of the tier plans that follow, in their order.
  private(set) var plans: [Int] = []
  /// Newest first.
  private(set) var snapshots: [Snapshot] = []
  /// The step of the best checkpoint, and a fingerprint of its parameters and moments; step 0 without one.
  private(set) var best: (step: Int, bits: UInt64) = (0, 0)
  /// Those that are not void.
  private(set) var rows: [Row.Key: Row] = [:]
  private(set) var quarantined: [String] = []
  /// By step: what of it was whose; only where somebody may compute wrongly.
  private(set) var shards: [Int: [ComputedShard]] = [:]
  /// How often the run went back.
  private(set) var returns = 0
  /// Milliseconds of the wall clock at each commit, for the record alone.
  private(set) var lastTimestamp = 0
  /// What is wrong with what was to be written.
  private(set) var fault: String?

  var lastStep: Int { steps.count }

  mutating func beginTerm() { term += 1 }

  mutating func begin(term: UInt64) { self.term = term }

  mutating func commit(step: Int, digest: String, term: UInt64, timestamp: Int, isRepeated: Bool) {
    if isRepeated, step == steps.count, agrees(step: step, digest: digest) { return }
    if term != self.term { fault = "step \(step) was committed in term \(term), which is over" }
    if step != steps.count + 1 { fault = "step \(step) was committed after step \(steps.count)" }
    steps.append(Self.fingerprint(of: digest))
    lastTimestamp = timestamp
  }

  /// Whether a step that is computed again comes out as it was recorded.
  func agrees(step: Int, digest: String) -> Bool {
    steps.indices.contains(step - 1) && steps[step - 1] == Self.fingerprint(of: digest)
  }

  private static func fingerprint(of digest: String) -> UInt64 {
    var fingerprint = Fingerprint()
    for byte in digest.utf8 { fingerprint.add(UInt64(byte)) }
    return fingerprint.value
  }

  mutating func record(_ shards: [ComputedShard], step: Int) { self.shards[step] = shards }

  mutating func record(_ evaluation: EvaluationOutcome) {
    let step = evaluation.step
    evaluations[step] = evaluation.loss
    accuracies[step] = evaluation.correct.map {
      EvaluatedAccuracy(step: step, correct: $0, tokens: evaluation.tokens)
    }
    guard let plan = evaluation.plan, !plans.contains(plan.firstStep) else { return }
    plans.append(plan.firstStep)
    if plans.count != plan.number - 1 {
      fault = "plan \(plan.number) was recorded after \(plans.count - 1) others"
    }
  }

  mutating func record(best step: Int, bits: UInt64) { best = (step, bits) }

  /// - Parameter prunes: real files say for themselves which are kept.
  mutating func record(_ snapshot: Snapshot, prunes: Bool = true) {
    snapshots.removeAll { $0.step == snapshot.step }
    snapshots.insert(snapshot, at: 0)
    guard prunes else { return }
    let records = snapshots.map { SnapshotRecord(step: $0.step, manifest: $0.digest, bytes: 1000) }
    let kept = Set(SnapshotRetention.kept(records).map(\.step))
    snapshots.removeAll { !kept.contains($0.step) }
  }

  mutating func record(_ rows: [Row], quarantined identities: [String]) {
    for row in rows { self.rows[row.key] = row }
    quarantined += identities.filter { !quarantined.contains($0) }
  }

  // MARK: - Going back

  /// The first step with a result of this identity that counts and that nobody else came to as well.
  func firstUnverifiedStep(of identity: String) -> Int? {
    rows.values.filter { $0.identity == identity && !$0.isVerified }.map(\.step).min()
  }

  var identitiesToUndo: [String] { quarantined.filter { firstUnverifiedStep(of: $0) != nil } }

  /// Makes everything void that may hold unverified results of an identity, and everything after it.
  mutating func rollBack(identity: String) {
    if let first = firstUnverifiedStep(of: identity) { rollBack(before: first) }
  }

  /// Makes everything void from the last snapshot before a step on.
  mutating func rollBack(before first: Int) {
    rollBack(
      to: ReturnPoint.step(
        before: first, bestCheckpoint: best.step, snapshots: snapshots.map { ($0.step, $0.progress) }))
  }

  mutating func rollBack(to step: Int) {
    steps.removeLast(max(0, steps.count - step))
    evaluations = evaluations.filter { $0.key <= step }
    accuracies = accuracies.filter { $0.key <= step }
    plans.removeAll { $0 > step + 1 }
    snapshots.removeAll { $0.step > step }
    if best.step > step { best = (0, 0) }
    rows = rows.filter { $0.value.step <= step }
    shards = shards.filter { $0.key <= step }
    returns += 1
  }

  // MARK: - Real files

  /// Without so many of the newest snapshots, which were found damaged.
  func without(newest count: Int) -> SimulatedDisk {
    var disk = self
    disk.snapshots.removeFirst(count)
    return disk
  }

  func hasSteps(_ digests: [String]) -> Bool { steps == digests.map(Self.fingerprint) }

  /// Takes over what may be one or the other after a crash.
  ///
  /// - Parameter known: snapshots that may be among those that are there.
  mutating func follow(_ view: StoreView, snapshots known: [Snapshot]) {
    rows = view.rows
    quarantined += view.quarantined.subtracting(quarantined).sorted()
    snapshots = view.snapshots.compactMap { step in known.last { $0.step == step } }
  }
}

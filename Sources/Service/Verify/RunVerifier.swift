import Files
import Foundation
import JSON
import Ledger
import Logging
import NestedLearning
import Training
import WireProtocol

/// Proves recorded steps of a run on this machine alone: computes them again from kept snapshots, and holds everything
/// that the ledger has of them to what comes out. Changes nothing, and may be done beside a coordinator at work on the run.
public final class RunVerifier {
  public enum Scope: Sendable, Equatable {
    /// From the snapshot before the last step on.
    case newest
    case step(Int)
    /// From each kept snapshot to the next, and to the last step.
    case all
  }

  private let folder: String
  private let plan: RunPlan
  private let ledger: Ledger
  private let store: SnapshotStore
  private let computer: ShardComputer
  private let batches: any BatchSource
  private let lastStep: Int
  /// Those that can be read, ascending.
  private let snapshots: [SnapshotRecord]
  private let damaged: [Int]

  /// Reads the run, its model and its data, and checks that they are what it was started with.
  ///
  /// - Parameters:
  ///   - paths: where its model and data lie now, if they were moved.
  ///   - threads: that compute; no bit depends on them.
  ///   - progress: is told how far reading has come, if that takes long.
  /// - Throws: what keeps the run from being computed again.
  public init(
    folder path: String, paths: RunPaths = RunPaths(), threads: Int,
    progress: RunPlan.Progress = RunPlan.Progress()
  ) throws {
    folder = FileSystem.absolute(FileSystem.expandingTilde(path))
    guard RecordedRun.isOne(folder) else {
      throw RunFolderError.notARun(path: folder, missing: "state.sqlite")
    }
    ledger = try Ledger.open(at: folder + "/state.sqlite", access: .readOnly)
    var members = try ledger.status().run.configuration.object ?? JSONObject()
    let inputs = members["inputs_sha256"] ?? nil
    members["inputs_sha256"] = nil
    let config = try paths.config(members, file: folder + "/config.json")
    try RunPaths.checkAllExist(config, folder: folder)
    plan = try RunPlan.measuring(
      config: ArithmeticChoice.ofOldRun(config), threads: threads, progress: progress)
    try plan.inputs.check(recorded: inputs, config: plan.config, folder: folder)
    batches = plan.batchSource
    lastStep = try ledger.lastStep()
    store = SnapshotStore(folder: folder + "/state")
    let (store, last) = (store, lastStep)
    let records = try ledger.snapshots().filter { $0.step > 0 && $0.step <= last }.reversed()
    let readable = records.filter { (try? store.open($0.manifest).check()) != nil }
    snapshots = readable
    damaged = records.map(\.step).filter { step in !readable.contains { $0.step == step } }
    computer = try Self.computer(plan, threads: threads)
  }

  /// A worker's arithmetic, with the run's model.
  private static func computer(_ plan: RunPlan, threads: Int) throws -> ShardComputer {
    let logger = Logger(label: "verify") { _ in SwiftLogNoOpLogHandler() }
    let source = ModelSource(ownPath: plan.folder.path, cache: nil, logger: logger, failpoints: .none)
    let computer = try ShardComputer(threads: threads, source: source, failpoints: .none)
    let run = EnterRun(
      workerID: 0, run: "", modelPath: plan.folder.path, modelSHA256: plan.inputs.model,
      trainable: plan.trainableJSON, tiers: plan.layout.tiers, numericProfile: plan.numericProfile,
      recomputesLayers: plan.config.activationCheckpointing == .layer, objective: plan.objective?.json)
    try computer.use(plan.model(threads: threads), for: run, precision: plan.precision)
    return computer
  }

  /// Steps between two kept snapshots.
  private struct Stretch {
    /// Nil: from the start.
    let from: SnapshotRecord?
    let steps: ClosedRange<Int>
    /// The snapshot of its last step, if there is one.
    let to: SnapshotRecord?
  }

  private var stretches: [Stretch] {
    var stretches: [Stretch] = []
    var from: SnapshotRecord?
    for to in snapshots.map(Optional.some) + [nil] {
      let (first, last) = ((from?.step ?? 0) + 1, to?.step ?? lastStep)
      if first <= last { stretches.append(Stretch(from: from, steps: first...last, to: to)) }
      from = to
    }
    return stretches
  }

  /// - Parameter progress: is told of how many steps how many are done.
  /// - Throws: `ServiceError` for a step that the run does not have; what keeps a step from being computed.
  public func verify(
    _ scope: Scope, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) throws -> RunProof {
    let chosen = try chosen(scope)
    let total = chosen.reduce(0) { $0 + $1.steps.count }
    var proof = RunProof(folder: folder, damagedSnapshots: damaged)
    let began = MonotonicClock.now()
    var done = 0
    for stretch in chosen {
      progress(done, total)
      let result = try verify(stretch, of: &proof, all: scope == .all) { progress(done + $0, total) }
      proof.stretches.append(result)
      done += stretch.steps.count
    }
    proof.seconds = MonotonicClock.now().seconds(since: began)
    return proof
  }

  private func chosen(_ scope: Scope) throws -> [Stretch] {
    guard lastStep > 0 else { throw ServiceError("the run in \(folder) has no step yet") }
    switch scope {
    case .all: return stretches
    case .newest: return Array(stretches.suffix(1))
    case .step(let step):
      guard (1...lastStep).contains(step), let stretch = stretches.first(where: { $0.steps.contains(step) })
      else {
        throw ServiceError(
          "the run in \(folder) has no step \(step)", remedy: "its steps are 1 to \(lastStep)")
      }
      let steps = stretch.steps.lowerBound...step
      return [Stretch(from: stretch.from, steps: steps, to: stretch.to?.step == step ? stretch.to : nil)]
    }
  }

  private func verify(
    _ stretch: Stretch, of proof: inout RunProof, all: Bool, progress: (Int) -> Void
  ) throws -> RunProof.Stretch {
    var result = RunProof.Stretch(steps: stretch.steps)
    let replay = try StepReplay(
      plan: plan, ledger: ledger, computer: computer, batches: batches, state: state(of: stretch.from))
    // In a stretch by itself; of several, each ends with the evaluation after its last step.
    if let from = stretch.from, !all, try evaluationIsWrong(after: from.step, replay, &result, &proof) {
      return result
    }
    for step in stretch.steps {
      let (faults, seconds) = try replay.replay(step)
      proof.computedSteps += 1
      proof.recordedSeconds += seconds
      guard faults.isEmpty else {
        result.faults = faults
        return result
      }
      result.proved += 1
      progress(result.proved)
      // No step that is asked for stands on the one after the last.
      guard all || step < stretch.steps.upperBound else { continue }
      if try evaluationIsWrong(after: step, replay, &result, &proof) { return result }
    }
    if let to = stretch.to, let fault = try fault(in: to, replay) { result.faults = [fault] }
    return result
  }

  /// Computes the evaluation after a step again, if steps follow it.
  private func evaluationIsWrong(
    after step: Int, _ replay: StepReplay, _ result: inout RunProof.Stretch, _ proof: inout RunProof
  ) throws -> Bool {
    guard replay.isFollowed(step) else { return false }
    proof.computedEvaluations += 1
    guard let fault = try replay.evaluationFault() else { return false }
    result.faults = [fault]
    return true
  }

  private func state(of record: SnapshotRecord?) throws -> NestedTrainerState {
    var state =
      try record.map { record in
        try NestedTrainerState(
          config: plan.config, scheduler: scheduler(at: record.step), shapes: plan.shapes,
          snapshot: store.open(record.manifest).trainer())
      }
      ?? NestedTrainerState(
        config: plan.config, scheduler: plan.scheduler, parameters: plan.initialValues, shapes: plan.shapes)
    state.penalty = plan.penalty
    return state
  }

  /// With the periods of the tier plan that a step went by.
  private func scheduler(at step: Int) throws -> ParameterTierScheduler {
    let evaluations = try ledger.evaluations().filter { $0.step < step }
    return PlanCourse(config: plan.config, scheduler: plan.scheduler)
      .after(evaluations.compactMap(EvaluatedAccuracy.init)).plan.scheduler
  }

  /// Moments and windows are in no step's digest; the snapshot must have those that the steps come to.
  private func fault(in record: SnapshotRecord, _ replay: StepReplay) throws -> StepFault? {
    let kept = try store.open(record.manifest).trainer()
    let own = try replay.snapshot()
    guard StateDigest.of(kept.tensors) != StateDigest.of(own.tensors) || kept.numbers.text != own.numbers.text
    else { return nil }
    let name = zip(kept.tensors, own.tensors).first { $0 != $1 }?.1.name
    return StepFault(
      step: record.step, direction: .snapshot,
      detail: "the snapshot is not what its steps come to" + (name.map { ", first in \($0)" } ?? ""))
  }
}

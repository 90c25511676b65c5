import Files
import Foundation
import JSON
import Ledger
import NestedLearning
import Service

/// Everything that the ledger of a run has to say, as JSON.
struct RunDetails {
  private let run: RecordedRun
  private let rows: MetricRows
  private let name: String
  private let state: String

  init(_ desk: RunDesk, _ name: String, _ rows: MetricRows) throws {
    let folder = desk.folder(of: name)
    guard FileSystem.kind(folder + "/state.sqlite") == .file else {
      throw RunRequestError(
        .unknown, "there is no run \(name) with a folder", field: "experiment_name",
        hint: "GET /nested-learning/experiments lists those that there are")
    }
    run = try RecordedRun(folder: folder)
    self.name = name
    self.rows = rows
    state = RunState.of(folder, recorded: run.status.state, entry: desk.entries.first(named: name))
  }

  /// Rows of metrics after a step, and evaluations from it on: the one of that step comes later than its row, so whoever knows
  /// the row may not know it yet.
  ///
  /// - Parameter limit: of steps, evenly over all of them
  func metrics(since step: Int, limit: Int) throws -> JSONValue {
    [
      "experiment_name": .string(name), "last_step": .number(run.status.lastStep),
      "total_steps": .number(run.config.numSteps),
      "returns": .number(try run.ledger.returns().count),
      "metrics": .array(try steps(since: step, limit: limit)),
      "evaluations": .array(try evaluations(since: step)),
    ]
  }

  private func steps(since step: Int, limit: Int) throws -> [JSONValue] {
    try rows.rows(run.ledger, after: step, atMost: limit).map { Self.slim($0.row) }
  }

  private func evaluations(since step: Int) throws -> [JSONValue] {
    try run.ledger.evaluations().filter { $0.step >= step }.map(Self.evaluation)
  }

  /// An evaluation with what was counted in it: the accuracy of tokens, and of each task loss, accuracy and F1.
  private static func evaluation(_ record: EvaluationRecord) -> JSONValue {
    var members: JSONObject = [
      "step": .number(record.step), "loss": .number(record.loss), "perplexity": .number(record.perplexity),
      "is_best": .bool(record.isBest), "accuracy": record.metrics["accuracy"] ?? .null,
    ]
    if let tasks = record.metrics["tasks"] { members["tasks"] = tasks }
    return .object(members)
  }

  /// A row of metrics without what the status has of the last one.
  ///
  /// - Parameter others: what is left out besides
  static func slim(_ row: JSONValue, without others: [String] = []) -> JSONValue {
    guard var members = row.object else { return row }
    for key in ["tier_stats"] + others { members[key] = nil }
    return .object(members)
  }

  func json() throws -> JSONValue {
    var config = run.config
    // That of its folder, which may have been given another name since.
    config.experimentName = name
    return [
      "experiment_name": .string(name), "status": .string(state),
      "message": run.status.reason.map { .string($0) } ?? nil, "folder": .string(run.folder),
      "created_at": .string(run.status.run.createdAt.text), "program": .string(run.status.run.program),
      "current_step": .number(run.status.lastStep), "total_steps": .number(run.config.numSteps),
      "tags": .strings(RunTags.of(run.folder)), "config": config.json(),
      "inputs_sha256": run.status.run.configuration["inputs_sha256"] ?? .null,
      "tiers": .array(try tiers()), "metrics": .array(try steps(since: 0, limit: 100)),
      "evaluations": .array(try evaluations(since: 0)),
      "checkpoints": .array(try checkpoints()), "ledger": try ledger(),
    ]
  }

  private func tiers() throws -> [JSONValue] {
    let recorded = try run.ledger.tiers()
    return run.tiers.map { tier in
      let version = recorded.first { $0.tier == tier.index }
      var members: JSONObject = [
        "tier": .number(tier.index), "frequency": .number(tier.frequency), "phase": .number(tier.phase),
        "parameter_count": .number(tier.parameterCount), "parameters": .number(tier.parameters.count),
        "update_count": .number(version?.version ?? 0),
        "expected_updates": .number(tier.updates(in: run.status.lastStep)),
        "digest": version.map { .string($0.digest) } ?? nil,
      ]
      if run.tiers.arePartsOfOthers { members["config_tier"] = .number(tier.configTier) }
      return .object(members)
    }
  }

  private func checkpoints() throws -> [JSONValue] {
    try run.ledger.checkpoints().map { checkpoint in
      let folder = run.folder + "/" + checkpoint.path
      let files = ((try? FileSystem.names(in: folder)) ?? []).filter {
        FileSystem.kind(folder + "/" + $0) == .file
      }
      return [
        "name": .string(FileSystem.name(of: checkpoint.path)), "path": .string(folder),
        "step": .number(checkpoint.step), "is_best": .bool(checkpoint.isBest),
        "is_final": .bool(checkpoint.isFinal),
        "best_val_loss": checkpoint.bestValidationLoss.map { .number($0) } ?? nil,
        "written_at": .string(checkpoint.writtenAt.text),
        "files": .array(
          files.sorted().map {
            ["name": .string($0), "bytes": .number(FileSystem.size(folder + "/" + $0) ?? 0)]
          }),
      ]
    }
  }

  /// Who computed what, and what went wrong.
  private func ledger() throws -> JSONValue {
    let workers = try run.ledger.workShares().map { share -> JSONValue in
      let outcomes = Dictionary(share.outcomes.map { ($0.outcome, $0.shards) }, uniquingKeysWith: +)
      let seconds = share.outcomes.reduce(0) { $0 + $1.seconds }
      return [
        "term": .number(Int(clamping: share.worker.term)), "worker": .number(share.worker.id),
        "host": .string(share.worker.host), "process": .number(share.worker.pid),
        "threads": .number(share.worker.threads), "isa": .string(share.worker.isa),
        "local": .bool(share.worker.isLocal), "joined_at": .string(share.worker.joinedAt.text),
        "left_reason": share.leftReason.map { .string($0) } ?? nil, "seconds": .number(seconds),
        "outcomes": .object(
          JSONObject(outcomes.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .number($0.value)) })
        ),
      ]
    }
    let returns = try run.ledger.returns().map { record -> JSONValue in
      [
        "reason": .string(record.reason.rawValue), "from_step": .number(record.fromStep),
        "to_step": .number(record.toStep), "voided_steps": .number(record.voidedSteps),
        "at": .string(record.at.text),
      ]
    }
    let quarantined = try run.ledger.quarantined().map { record -> JSONValue in
      [
        "identity": .string(record.identity), "worker": .number(record.worker),
        "reason": .string(record.reason),
        "at": .string(record.at.text),
      ]
    }
    return [
      "starts": .number(Int(clamping: run.status.term)), "workers": .array(workers),
      "returns": .array(returns),
      "quarantined": .array(quarantined),
      "seconds": .number(try run.ledger.total(ofMetric: "step_time")),
    ]
  }
}

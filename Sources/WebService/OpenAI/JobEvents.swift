import JSON
import Ledger
import Service

/// `/v1/fine_tuning/jobs/{id}/events`: what the ledger of a job's run has, step by step, the newest first.
struct JobEvents {
  /// An event's place in the course of a run, which is its id as well.
  struct Place: Comparable {
    enum Kind: Int { case created, step, evaluation, checkpoint, returned, end }
    let step: Int
    let kind: Kind
    /// Of several of one kind at one step.
    let number: Int

    static let end = Place(step: .max, kind: .end, number: 0)
    var id: String { self == .end ? "ftevent-end" : "ftevent-\(step)-\(kind.rawValue)-\(number)" }

    init(step: Int, kind: Kind, number: Int = 0) {
      (self.step, self.kind, self.number) = (step, kind, number)
    }

    init?(id: String) {
      if id == Place.end.id {
        self = .end
        return
      }
      let parts = id.split(separator: "-", omittingEmptySubsequences: false)
      guard parts.count == 4, parts[0] == "ftevent", let step = Int(parts[1]), step >= 0,
        let kind = Int(parts[2]).flatMap(Kind.init), let number = Int(parts[3])
      else { return nil }
      self.init(step: step, kind: kind, number: number)
    }

    static func < (a: Place, b: Place) -> Bool {
      (a.step, a.kind.rawValue, a.number) < (b.step, b.kind.rawValue, b.number)
    }
  }

  private struct Event {
    let place: Place
    let at: Int
    let message: String
    var level = "info"
    var data: JSONValue?

    var json: JSONValue {
      [
        "object": "fine_tuning.job.event", "id": .string(place.id), "created_at": .number(at),
        "level": .string(level), "message": .string(message), "type": data == nil ? "message" : "metrics",
        "data": data ?? .null,
      ]
    }
  }

  let job: JobView.Job
  let state: String
  let view: JobView

  func page(_ page: OpenAIPage) throws -> JSONValue {
    var before = Place(step: .max, kind: .end, number: 1)
    if let after = page.after {
      guard let place = Place(id: after) else {
        throw OpenAIError.field("after", "there is no event \(after.prefix(80))")
      }
      before = place
    }
    let found = try events(before: before, atLeast: page.limit + 1).sorted { $0.place > $1.place }
    return OpenAIPage.list(found.prefix(page.limit).map(\.json), hasMore: found.count > page.limit)
  }

  /// - Parameter count: as many of the newest before a place, if there are so many; the steps of more are not read
  private func events(before: Place, atLeast count: Int) throws -> [Event] {
    guard let name = job.run, RecordedRun.isOne(view.desk.folder(of: name)) else {
      return (ends(at: nil) + [created(at: job.stored?.created ?? 0)]).filter { $0.place < before }
    }
    let run = try RecordedRun(folder: view.desk.folder(of: name))
    let last = min(run.status.lastStep, before.step)
    let first = max(1, last - count)
    var events = last >= first ? try steps(first...last, run) : []
    events += try evaluations(run) + checkpoints(run) + returns(run)
    let ended = try run.ledger.step(run.status.lastStep)?.committedAt ?? run.status.run.createdAt
    events += ends(at: Self.seconds(ended))
    if first == 1 {
      events.append(created(at: job.stored?.created ?? Self.seconds(run.status.run.createdAt)))
    }
    return events.filter { $0.place < before && ($0.place.step >= first || first == 1) }
  }

  private func created(at time: Int) -> Event {
    Event(place: Place(step: 0, kind: .created), at: time, message: "Created fine-tuning job: \(job.id)")
  }

  private func steps(_ range: ClosedRange<Int>, _ run: RecordedRun) throws -> [Event] {
    try run.ledger.steps(range).map { step in
      let loss = step.loss.map { "\($0)" } ?? "not computed"
      return Event(
        place: Place(step: step.step, kind: .step), at: Self.seconds(step.committedAt),
        message: "Step \(step.step)/\(run.config.numSteps): training loss=\(loss)",
        data: [
          "step": .number(step.step), "train_loss": step.loss.map { .number($0) } ?? nil,
          "total_steps": .number(run.config.numSteps), "learning_rate": .number(step.learningRate),
          "grad_norm": .number(step.gradNorm),
        ])
    }
  }

  private func evaluations(_ run: RecordedRun) throws -> [Event] {
    try run.ledger.evaluations().map { evaluation in
      Event(
        place: Place(step: evaluation.step, kind: .evaluation), at: Self.seconds(evaluation.evaluatedAt),
        message: "Step \(evaluation.step)/\(run.config.numSteps): validation loss=\(evaluation.loss)",
        data: [
          "step": .number(evaluation.step), "valid_loss": .number(evaluation.loss),
          "total_steps": .number(run.config.numSteps), "is_best": .bool(evaluation.isBest),
        ])
    }
  }

  private func checkpoints(_ run: RecordedRun) throws -> [Event] {
    try run.ledger.checkpoints().enumerated().map { number, checkpoint in
      Event(
        place: Place(step: checkpoint.step, kind: .checkpoint, number: number),
        at: Self.seconds(checkpoint.writtenAt),
        message: "Checkpoint of step \(checkpoint.step): \(job.run ?? "")/\(checkpoint.path)")
    }
  }

  private func returns(_ run: RecordedRun) throws -> [Event] {
    try run.ledger.returns().enumerated().map { number, record in
      Event(
        place: Place(step: record.toStep, kind: .returned, number: number), at: Self.seconds(record.at),
        message: "Went back from step \(record.fromStep) to \(record.toStep): \(record.reason.rawValue)",
        level: "warn")
    }
  }

  private func ends(at time: Int?) -> [Event] {
    let time = time ?? job.stored?.created ?? 0
    switch state {
    case "succeeded": return [Event(place: .end, at: time, message: "The job has successfully completed")]
    case "cancelled": return [Event(place: .end, at: time, message: "The job was cancelled", level: "warn")]
    case "failed": return [Event(place: .end, at: time, message: "The job has failed", level: "error")]
    default: return []
    }
  }

  private static func seconds(_ time: Timestamp) -> Int { Int(time.milliseconds / 1000) }
}

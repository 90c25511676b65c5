import Files
import HTTPTypes
import Hummingbird
import JSON
import Ledger
import NIOCore
import NestedLearning
import Service

/// What is done with runs, and what there is to know of them.
struct RunRoutes: Sendable {
  let desk: RunDesk
  let policy: PathPolicy
  let summaries: RunSummaries
  let rows: MetricRows
  let status: RunStatus
  let start: RunStart
  let jobs: JobView
  let cache = AnswerCache()
  private static let mostRows = 20_000
  private static let mostOrdered = 1000

  var routes: [Route] {
    let prefix = "/nested-learning"
    return [
      .post("\(prefix)/start") { _, body in try begin(body) },
      cached("\(prefix)/status", key: statusKey(for:), make: status(for:)),
      cached("\(prefix)/metrics", key: { asked in try part(asked).key }, make: metrics(for:)),
      .post("\(prefix)/stop") { asked, body in try command(asked, body, "stops", desk.stop) },
      .post("\(prefix)/pause") { asked, body in try command(asked, body, "rests", desk.pause) },
      .post("\(prefix)/resume") { asked, body in try command(asked, body, "goes on", desk.resume) },
      .post("\(prefix)/queue") { _, body in try order(body) },
      cached("\(prefix)/experiments", key: { _ in Self.experimentsKey }, make: experiments(for:)),
      cached("\(prefix)/experiments/{name}", key: detailsKey(for:), make: details(for:)),
      .json(.delete, "\(prefix)/experiments/{name}") { asked in try delete(asked) },
      Route(.get, "\(prefix)/experiments/{name}/checkpoints/{checkpoint}/{file}") { asked in
        try await download(asked)
      },
      Route(.get, "\(prefix)/experiments/{name}/report") { asked in try await report(asked) },
    ]
  }

  /// What is there already for a request of which nothing but its target has been looked at.
  func early(_ target: String) -> ByteBuffer? { cache.known(target: target, changes: desk.changes) }

  private func cached(
    _ path: String, key: @escaping @Sendable (Asked) throws -> String,
    make: @escaping @Sendable (Asked) throws -> ByteBuffer
  ) -> Route {
    .cached(path, in: cache, changes: { desk.changes }, key: key, make: make)
  }

  /// That of the path.
  private func run(_ asked: Asked) throws -> String { try policy.run(asked.parameter("name") ?? "") }

  private func statusKey(for asked: Asked) throws -> String { "status \(try name(asked) ?? "")" }

  private func status(for asked: Asked) throws -> ByteBuffer {
    let run = try name(asked)
    return try cache.bytes(statusKey(for: asked), changes: desk.changes) { try status.status(of: run) }
  }

  private static let experimentsKey = "experiments"

  private func experiments(for asked: Asked) throws -> ByteBuffer {
    try cache.bytes(Self.experimentsKey, changes: desk.changes) {
      [
        "experiments": .array(summaries.all().map { .object($0) }),
        "queue": .strings(desk.entries.map(\.name)), "waiting": waiting,
      ]
    }
  }

  /// Runs whose turn is still to come, in the order in which it comes.
  private var waiting: JSONValue { .strings(desk.entries.filter(\.isWaiting).map(\.name)) }

  private func detailsKey(for asked: Asked) throws -> String { "details \(try run(asked))" }

  private func details(for asked: Asked) throws -> ByteBuffer {
    let (name, changes) = (try run(asked), desk.changes)
    let mark = "\(changes) \(RunSummaries.mark(desk.folder(of: name)))"
    return try cache.bytes(detailsKey(for: asked), changes: changes, mark: mark) {
      try RunDetails(desk, name, rows).json()
    }
  }

  /// `?experiment=`, if it is given.
  private func name(_ asked: Asked) throws -> String? { try asked.query("experiment").map(policy.run) }

  private func begin(_ body: JSONObject) throws -> JSONValue {
    let name = try start.start(body)
    let before = desk.entries.prefix { $0.name != name }.count { $0.state != .paused }
    let message = before == 0 ? "it begins" : "it is queued, behind \(before) other\(before == 1 ? "" : "s")"
    return ["success": true, "message": .string(message), "experiment_name": .string(name)]
  }

  /// What part of the metrics is asked for.
  private func part(_ asked: Asked) throws -> (since: Int, limit: Int, key: String) {
    let since = try asked.integer("since", in: 0...Int(Int32.max)) ?? 0
    let limit = try asked.integer("limit", in: 1...Self.mostRows) ?? 2000
    return (since, limit, "metrics \(since) \(limit) \(try name(asked) ?? "")")
  }

  private func metrics(for asked: Asked) throws -> ByteBuffer {
    let (since, limit, key) = try part(asked)
    let (given, changes) = (try name(asked), desk.changes)
    let name = given ?? status.current
    guard let name, RecordedRun.isOne(desk.folder(of: name)) else {
      if let given { try checkIsKnown(given) }
      let none: JSONValue = [
        "experiment_name": name.map { .string($0) } ?? nil, "last_step": 0, "total_steps": 0, "returns": 0,
        "metrics": [], "evaluations": [],
      ]
      return ByteBuffer(bytes: none.bytes())
    }
    let mark = RunSummaries.mark(desk.folder(of: name))
    return try cache.bytes(key, changes: changes, mark: "\(name) \(mark)") {
      try RunDetails(desk, name, rows).metrics(since: since, limit: limit)
    }
  }

  /// - Throws: `RunRequestError` unless a run without a folder waits, or could not begin.
  private func checkIsKnown(_ name: String) throws {
    guard desk.entries.first(named: name) != nil || desk.failures.contains(where: { $0.name == name }) else {
      throw RunRequestError(.unknown, "there is no run \(name)", field: "experiment_name")
    }
  }

  /// The run that is named in the body or the query, else the one at work.
  private func command(
    _ asked: Asked, _ body: JSONObject, _ what: String, _ carryOut: (String) throws -> Void
  ) throws -> JSONValue {
    let given = body["experiment_name"]?.string ?? asked.query("experiment")
    guard let name = try given.map(policy.run) ?? current(what) else {
      throw RunRequestError(.conflict, "no run is at work", hint: "name one with experiment_name")
    }
    try carryOut(name)
    return ["success": true, "message": .string("\(name) \(what)"), "experiment_name": .string(name)]
  }

  private func current(_ what: String) -> String? {
    let entries = desk.entries
    if what == "goes on" { return entries.first { $0.state == .paused }?.name }
    return (entries.first { $0.state == .running } ?? entries.first { $0.state == .queued } ?? entries.first)?
      .name
  }

  private func order(_ body: JSONObject) throws -> JSONValue {
    guard let list = body["order"]?.array, !list.isEmpty, list.count <= Self.mostOrdered,
      case let names = list.compactMap(\.string), names.count == list.count
    else {
      throw RunRequestError(
        .invalid, "order must be a list of 1 to \(Self.mostOrdered) names of runs", field: "order",
        hint: "name runs that wait, the first to begin first")
    }
    try desk.putFirst(names)
    return ["success": true, "queue": .strings(desk.entries.map(\.name)), "waiting": waiting]
  }

  private func delete(_ asked: Asked) throws -> JSONValue {
    let name = try run(asked)
    try jobs.runGoes(name) { try desk.delete(name) }
    return ["success": true, "message": .string("\(name) is deleted"), "experiment_name": .string(name)]
  }

  /// A file of a checkpoint, as it is on the disk.
  private func download(_ asked: Asked) async throws -> Response {
    let name = try run(asked)
    let (checkpoint, file) = (asked.parameter("checkpoint") ?? "", asked.parameter("file") ?? "")
    let path = desk.folder(of: name) + "/checkpoints/\(checkpoint)/\(file)"
    guard PathPolicy.isName(checkpoint), PathPolicy.isName(file), let real = RealPath.of(path),
      PathPolicy.isWithin(real, desk.folder(of: name)), FileSystem.kind(real) == .file
    else { throw RunRequestError(.unknown, "there is no such file of a checkpoint", field: "file") }
    return try await Disk.run { try FileAnswer.response(real, name: file) }
  }

  /// The run as one page that needs nothing beside itself.
  private func report(_ asked: Asked) async throws -> Response {
    let name = try run(asked)
    let html = try await Disk.run {
      guard RecordedRun.isOne(desk.folder(of: name)) else {
        throw RunRequestError(.unknown, "there is no run \(name) with a folder", field: "experiment_name")
      }
      return try RunReport(folder: desk.folder(of: name)).html
    }
    var response = Answer.bytes(Array(html.utf8), type: "text/html; charset=utf-8")
    // It is saved and not shown: its styles are within it, which pages of the service may not have.
    let plain = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    response.headers[.contentDisposition] = "attachment; filename=\"\(plain.isEmpty ? "run" : plain).html\""
    return response
  }
}

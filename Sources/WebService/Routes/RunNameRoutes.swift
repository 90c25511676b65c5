import Files
import JSON
import Service

/// What people call runs.
struct RunNameRoutes: Sendable {
  let desk: RunDesk
  let policy: PathPolicy
  let jobs: JobView

  var routes: [Route] {
    let one = "/nested-learning/experiments/{name}"
    return [
      .post(one + "/rename") { asked, body in try rename(asked, body) },
      .post(one + "/tags") { asked, body in
        let name = try recorded(asked)
        let tags = try RunTags.put(body["tags"], in: desk.folder(of: name))
        desk.tellOfChange()
        return ["success": true, "experiment_name": .string(name), "tags": .strings(tags)]
      },
    ]
  }

  /// - Throws: `RunRequestError` unless there is a run with a folder.
  private func recorded(_ asked: Asked) throws -> String {
    let name = try policy.run(asked.parameter("name") ?? "")
    guard RecordedRun.isOne(desk.folder(of: name)) else {
      throw RunRequestError(.unknown, "there is no run \(name) with a folder", field: "experiment_name")
    }
    return name
  }

  private func rename(_ asked: Asked, _ body: JSONObject) throws -> JSONValue {
    let name = try recorded(asked)
    guard let new = body["experiment_name"]?.string, PathPolicy.isName(new) else {
      throw RunRequestError(
        .invalid, "experiment_name must be the name of a folder", field: "experiment_name",
        hint: "choose one without / that no dot begins")
    }
    let folder = desk.folder(of: name)
    if let reader = desk.entries.first(where: { desk.reads(folder + "/", $0) }) {
      throw RunRequestError(.conflict, "\(reader.name) reads what \(name) has made", hint: "wait for its end")
    }
    try desk.rename(name, to: new)
    try jobs.store.change(run: name) { $0.run = new }
    return ["success": true, "message": .string("\(name) is now \(new)"), "experiment_name": .string(new)]
  }
}

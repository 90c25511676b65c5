import Files
import HTTPTypes
import Hummingbird
import JSON
import Service

/// What people call runs, and checkpoints as they take them along.
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
      Route(.get, one + "/checkpoints/{checkpoint}") { asked in
        try await Disk.run { try archive(asked) }
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

  /// All files of a checkpoint, or with `?form=peft` those for PEFT, as a tar file.
  private func archive(_ asked: Asked) throws -> Response {
    let name = try policy.run(asked.parameter("name") ?? "")
    let checkpoint = asked.parameter("checkpoint") ?? ""
    let form = asked.query("form")
    guard form == nil || form == "peft" else {
      throw RunRequestError(.invalid, "form must be peft, or left out", field: "form")
    }
    let path = desk.folder(of: name) + "/checkpoints/" + checkpoint + (form == nil ? "" : "/peft")
    guard PathPolicy.isName(checkpoint), let real = RealPath.of(path),
      PathPolicy.isWithin(real, desk.folder(of: name)), FileSystem.kind(real) == .folder
    else { throw RunRequestError(.unknown, "there is no such checkpoint", field: "checkpoint") }
    let archive = try TarArchive(folder: real, as: checkpoint)
    let plain = "\(name)-\(checkpoint)".filter {
      $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: "application/x-tar", .contentDisposition: "attachment; filename=\"\(plain).tar\"",
      ],
      body: ResponseBody(contentLength: archive.size) { writer in
        try await archive.write { try await writer.write($0) }
        try await writer.finish(nil)
      })
  }
}

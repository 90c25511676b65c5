import HTTPTypes
import Hummingbird
import JSON
import Service

/// What there is to make runs from, and how more of it comes.
struct FileRoutes: Sendable {
  let library: Library
  let uploads: Uploads

  var routes: [Route] {
    [
      .json(.get, "/nested-learning/models") { _ in ["models": library.models] },
      .json(.get, "/nested-learning/adapters") { _ in ["adapters": library.adapters] },
      .json(.get, "/nested-learning/datasets") { _ in ["datasets": library.datasets] },
      Route(.post, "/nested-learning/upload") { asked in try await upload(asked) },
    ]
  }

  /// One piece of a file: `?name=&offset=&size=`, its bytes as the body.
  private func upload(_ asked: Asked) async throws -> Response {
    guard let name = asked.query("name") else {
      throw RunRequestError(
        .invalid, "the file has no name", field: "name", hint: "?name=train.jsonl&offset=0&size=…")
    }
    guard let size = try asked.integer("size", in: 1...Int(Int64.max)) else {
      throw RunRequestError(.invalid, "size is missing: the bytes of the whole file", field: "size")
    }
    let offset = try asked.integer("offset", in: 0...Int(Int64.max)) ?? 0
    let upload = try uploads.begin(name: name, offset: offset, size: size)
    defer { uploads.end(upload) }
    for try await piece in asked.request.body {
      let bytes = Array(piece.readableBytesView)
      try await Disk.run { try uploads.add(bytes, to: upload) }
    }
    return Answer.json(try await Disk.run { try uploads.close(upload) })
  }
}

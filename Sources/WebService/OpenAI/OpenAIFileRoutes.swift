import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Service
import Synchronization

/// `/v1/files`: data that comes in one request each.
struct OpenAIFileRoutes: Sendable {
  let shelf: FileShelf
  let desk: RunDesk
  private static let mostListed = 10_000
  /// What a form has besides the file, at most.
  private static let formBytes = 1 << 16

  var routes: [Route] {
    [
      Route(.post, "/v1/files") { asked in try await upload(asked) },
      .json(.get, "/v1/files") { asked in try list(asked) },
      .json(.get, "/v1/files/{file_id}") { asked in try shelf.file(asked.parameter("file_id") ?? "").json },
      Route(.get, "/v1/files/{file_id}/content") { asked in
        try await Disk.run {
          let file = try shelf.file(asked.parameter("file_id") ?? "")
          return try FileAnswer.response(file.path, name: file.name)
        }
      },
      .json(.delete, "/v1/files/{file_id}") { asked in try delete(asked) },
    ]
  }

  private func list(_ asked: Asked) throws -> JSONValue {
    let page = try OpenAIPage(asked, limit: Self.mostListed, most: Self.mostListed)
    var files = shelf.all
    if let purpose = asked.query("purpose") { files = files.filter { $0.purpose == purpose } }
    switch asked.query("order") {
    case nil, "desc": break
    case "asc": files.reverse()
    case let other?: throw OpenAIError.field("order", "order must be asc or desc, not \(other.prefix(80))")
    }
    return try page.list(files.map { file in (file.id, { file.json }) })
  }

  private func delete(_ asked: Asked) throws -> JSONValue {
    let file = try shelf.file(asked.parameter("file_id") ?? "")
    if let entry = desk.entries.first(where: { desk.reads(file.path, $0) }) {
      throw RunRequestError(.conflict, "\(entry.name) is trained on \(file.id)", hint: "cancel it first")
    }
    try shelf.remove(file.id)
    return ["id": .string(file.id), "object": "file", "deleted": true]
  }

  // MARK: - Upload

  private func upload(_ asked: Asked) async throws -> Response {
    if let length = asked.request.headers[.contentLength].flatMap(Int.init),
      length > shelf.limit + Self.formBytes
    {
      throw FileShelf.tooLarge(shelf.limit, "the data folder")
    }
    let form = FileForm(shelf)
    defer { form.end() }
    do {
      var parser = try MultipartParser(contentType: asked.request.headers[.contentType] ?? "")
      for try await piece in asked.request.body {
        let events = try parser.take(piece.readableBytesView)
        try await Disk.run { try form.take(events) }
      }
      try parser.finish()
    } catch let error as MultipartParser.Malformed { throw OpenAIError(.badRequest, error.description) }
    return Answer.json(try await Disk.run { try form.kept().json })
  }
}

/// The fields of an upload's form, as they come.
private final class FileForm: Sendable {
  private struct State: Sendable {
    var draft: FileShelf.Draft?
    var purpose: String?
    /// The field whose content comes.
    var field = ""
    var text: [UInt8] = []
  }

  private let shelf: FileShelf
  private let state = Mutex(State())
  private static let mostText = 1000

  init(_ shelf: FileShelf) { self.shelf = shelf }

  func take(_ events: [MultipartParser.Event]) throws {
    try state.withLock { state in
      for event in events { try take(event, &state) }
    }
  }

  private func take(_ event: MultipartParser.Event, _ state: inout State) throws {
    switch event {
    case .part(let name, let fileName):
      try begin(name, fileName, &state)
      (state.field, state.text) = (name, [])
    case .data(let bytes):
      if state.field == "file", let draft = state.draft { return try shelf.add(bytes, to: draft) }
      state.text += bytes
      guard state.text.count <= Self.mostText else {
        throw OpenAIError.field("purpose", "purpose is too long")
      }
    case .partEnd:
      guard state.field == "purpose" else { return }
      let value = String(decoding: state.text, as: UTF8.self)
      guard value == FileShelf.purpose else {
        throw OpenAIError.field(
          "purpose",
          "files are kept to be trained on: purpose must be \(FileShelf.purpose), not \(value.prefix(80))")
      }
      state.purpose = value
    }
  }

  private func begin(_ name: String, _ fileName: String?, _ state: inout State) throws {
    switch name {
    case "file":
      guard state.draft == nil else { throw OpenAIError.field("file", "a request has one file") }
      state.draft = try shelf.begin(name: fileName ?? "")
    case "purpose": break
    default: throw OpenAIError.field(name, "there is no field \(name.prefix(80))", code: "unknown_parameter")
    }
  }

  /// - Throws: `OpenAIError` if a field is missing.
  func kept() throws -> FileShelf.File {
    let (draft, purpose) = state.withLock { ($0.draft, $0.purpose) }
    guard purpose != nil else {
      throw OpenAIError.field("purpose", "purpose is missing: \(FileShelf.purpose)")
    }
    guard let draft else { throw OpenAIError.field("file", "file is missing") }
    return try shelf.keep(draft)
  }

  func end() {
    if let draft = state.withLock({ $0.draft }) { shelf.end(draft) }
  }
}

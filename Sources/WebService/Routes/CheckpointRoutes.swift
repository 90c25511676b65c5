import Files
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Service

/// Checkpoints as they are taken along, each as one file.
struct CheckpointRoutes: Sendable {
  let desk: RunDesk
  let policy: PathPolicy
  let exports: CheckpointExports

  var routes: [Route] {
    [
      Route(.get, "/nested-learning/experiments/{name}/checkpoints/{checkpoint}") { asked in
        guard let form = asked.query("form"), form != Self.peft else {
          return try await Disk.run { try archive(asked) }
        }
        return try await export(asked, form)
      }
    ]
  }

  private static let peft = "peft"

  /// A checkpoint that is there, and what a file of it is called.
  private struct Place {
    let run: String
    let checkpoint: String
    let folder: String
    let plainName: String
  }

  /// - Parameter part: a folder within the checkpoint's
  private func place(_ asked: Asked, part: String? = nil) throws -> Place {
    let name = try policy.run(asked.parameter("name") ?? "")
    let checkpoint = asked.parameter("checkpoint") ?? ""
    let path = desk.folder(of: name) + "/checkpoints/" + checkpoint + (part.map { "/" + $0 } ?? "")
    guard PathPolicy.isName(checkpoint), let real = RealPath.of(path),
      PathPolicy.isWithin(real, desk.folder(of: name)), FileSystem.kind(real) == .folder
    else { throw RunRequestError(.unknown, "there is no such checkpoint", field: "checkpoint") }
    let plain = "\(name)-\(checkpoint)".filter {
      $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
    }
    return Place(
      run: name, checkpoint: checkpoint, folder: real, plainName: plain.hasPrefix(".") ? "run\(plain)" : plain
    )
  }

  /// All files of a checkpoint, or with `?form=peft` those for PEFT, as a tar file.
  private func archive(_ asked: Asked) throws -> Response {
    let place = try place(asked, part: asked.query("form") == nil ? nil : Self.peft)
    return Self.answer(try TarArchive(folder: place.folder, as: place.checkpoint), name: place.plainName)
  }

  private static func answer(_ archive: TarArchive, name: String) -> Response {
    Response(
      status: .ok,
      headers: [
        .contentType: "application/x-tar", .contentDisposition: "attachment; filename=\"\(name).tar\"",
      ],
      body: ResponseBody(contentLength: archive.size) { writer in
        try await archive.write { try await writer.write($0) }
        try await writer.finish(nil)
      })
  }

  // MARK: - What is made first

  private func export(_ asked: Asked, _ text: String) async throws -> Response {
    guard let form = CheckpointForm(rawValue: text) else {
      let words = ([Self.peft] + CheckpointForm.allCases.map(\.rawValue)).joined(separator: ", ")
      throw RunRequestError(.invalid, "form must be one of \(words), or left out", field: "form")
    }
    let export = try await Disk.run {
      let place = try place(asked)
      let base = try RecordedRun(folder: desk.folder(of: place.run)).config.baseModelPath
      return try exports.begin(form, adapter: place.folder, model: base, name: place.plainName)
    }
    // Whoever has gone needs it no more, and others wait.
    asked.context.channel.closeFuture.whenComplete { _ in export.end() }
    do {
      try await export.ready()
      return try await Disk.run { try response(export, asked.context.channel) }
    } catch {
      export.end()
      throw error
    }
  }

  private func response(_ export: CheckpointExport, _ channel: any Channel) throws -> Response {
    let patience = SendingPatience(channel)
    let made: Response =
      export.form.isFolder
      ? Self.answer(try TarArchive(folder: export.path, as: export.fileName), name: export.fileName)
      : try FileAnswer.response(export.path, name: export.fileName)
    var response = made
    response.body = ResponseBody(contentLength: made.body.contentLength) { writer in
      defer {
        patience.end()
        export.end()
      }
      let last = LastPieceWriter(writer: writer, bytes: made.body.contentLength ?? .max) {
        await export.hasBeenRead()
      }
      try await made.body.write(PatientWriter(writer: last, patience: patience))
    }
    return response
  }
}

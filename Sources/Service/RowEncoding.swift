import ChatTemplate
import Dataset
import Files
import Foundation
import LanguageModel
import NestedLearning

/// What says how rows become tokens: the files of a model folder, and the day that chat templates see.
struct RowEncoding {
  let encoder: RowEncoder
  /// Everything that the tokens of a row depend on besides the row: for the token cache.
  let digests: [String]
  /// The day, if a template asks for it.
  let date: String?

  /// - Parameters:
  ///   - tasks: that rows are of.
  ///   - date: as `2026-11-29`; nil: today, if the template asks for it.
  ///   - digest: gives the SHA-256 of a file.
  init(
    tokenizer: Tokenizer, folder: String, trainOn: TrainOn, date: String?,
    tasks: [TaskHead] = [], digest: (String) throws -> String = FileDigest.sha256(file:)
  ) throws {
    let files = Self.files(in: folder)
    let asks = try files.contains { try Self.asksForDate($0) }
    self.date = date ?? (asks ? Self.today : nil)
    let day = self.date ?? "2000-01-01"
    guard let templateDate = TemplateDate(parsing: day) else {
      throw ServiceError(
        "there is no day \(day) (chat_template_date)", remedy: "write it as 2026-11-29")
    }
    encoder = RowEncoder(encoder: tokenizer, template: (folder, templateDate), trainOn: trainOn, tasks: tasks)
    digests =
      try files.map { "\(FileSystem.name(of: $0)) \(try digest($0))" } + (asks ? [day] : [])
      + tokenizer.addedHere.map { "added \($0)" } + tasks.map { "task \($0.json.text)" }
  }

  /// Where the rows of large files are kept; nil: nowhere.
  var cache: TokenCache? {
    TokenCache(environment: ProcessInfo.processInfo.environment, encoding: digests)
  }

  /// The files that say how conversations are written.
  static func templateFiles(in folder: String) -> [String] {
    let more = folder + "/additional_chat_templates"
    let names = ((try? FileSystem.names(in: more)) ?? []).map { more + "/" + $0 }
    return (["chat_template.jinja", "chat_template.json"].map { folder + "/" + $0 } + names).filter {
      FileSystem.kind($0) == .file
    }
  }

  private static func files(in folder: String) -> [String] {
    (TokenizerFiles.names + ["config.json"]).map { folder + "/" + $0 }.filter {
      FileSystem.kind($0) == .file
    } + templateFiles(in: folder)
  }

  private static func asksForDate(_ path: String) throws -> Bool {
    guard !path.hasSuffix("/tokenizer.json") else { return false }
    return String(decoding: try AtomicFile.read(path), as: UTF8.self).contains("strftime_now")
  }

  /// In UTC, so that it does not depend on where.
  private static var today: String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    return String(
      format: "%04d-%02d-%02d", Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday))
  }
}

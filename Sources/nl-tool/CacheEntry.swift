import ArgumentParser
import Dataset
import Files
import Foundation
import JSON
import Service

/// Something that programs keep on this machine to save time, and make anew when it is gone.
struct CacheEntry {
  enum Kind: String, ExpressibleByArgument, CaseIterable { case models, tokens }

  let kind: Kind
  let sha256: String
  let bytes: Int
  let lastUsed: Date?
  /// What it is, for people.
  let summary: String
  let members: JSONObject
  let remove: () throws -> Void

  init(_ model: CachedModels.Model, in cache: CachedModels) {
    (kind, sha256, bytes, lastUsed) = (.models, model.sha256, model.bytes, model.lastUsed)
    let state =
      model.isBeingFetched
      ? ", being fetched" : model.isWhole ? "" : ", a part: its fetch was cut short"
    summary = "model: " + (model.summary ?? "?") + state
    members = JSONObject([
      .init(key: "path", value: .string(model.path)), .init(key: "whole", value: .bool(model.isWhole)),
      .init(key: "being_fetched", value: .bool(model.isBeingFetched)),
      .init(key: "model", value: model.summary.map { .string($0) } ?? .null),
    ])
    remove = { try cache.remove(model) }
  }

  init(_ rows: CachedRows.File, in cache: CachedRows) {
    (kind, sha256, bytes, lastUsed) = (.tokens, rows.sha256, rows.bytes, rows.lastUsed)
    summary =
      "tokens: "
      + (rows.rows.map { "\($0) rows of \(rows.tokens ?? 0) tokens" } ?? "a file that is not whole")
    members = JSONObject([
      .init(key: "path", value: .string(rows.path)), .init(key: "whole", value: .bool(rows.rows != nil)),
      .init(key: "rows", value: rows.rows.map { .number($0) } ?? .null),
      .init(key: "tokens", value: rows.tokens.map { .number($0) } ?? .null),
    ])
    remove = { try cache.remove(rows) }
  }

  var line: String {
    "\(sha256.prefix(12))  \(ByteSize.megabytes(bytes))  last used \(time ?? "?")  \(summary)"
  }

  /// UTC, to the minute.
  private var time: String? {
    lastUsed.map { String(ISO8601DateFormatter().string(from: $0).prefix(16)) + "Z" }
  }

  var json: JSONValue {
    var object = JSONObject()
    object["kind"] = .string(kind.rawValue)
    object["sha256"] = .string(sha256)
    object["bytes"] = .number(bytes)
    object["last_used"] = lastUsed.map { .string(ISO8601DateFormatter().string(from: $0)) } ?? .null
    for member in members.members { object[member.key] = member.value }
    return .object(object)
  }
}

extension ByteSize {
  static func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }
}

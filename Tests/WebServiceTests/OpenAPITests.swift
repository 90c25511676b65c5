import Foundation
import Harness
import JSON
import Logging
import Testing

@testable import Service
@testable import WebService

/// The OpenAPI file against what is answered: neither has a route or a field that the other lacks.
@Suite struct OpenAPITests {
  private static let file = OpenAPIFile.json

  @Test func routes() throws {
    let scratch = try Scratch()
    let options = try WebOptions(
      address: "127.0.0.1:0", tokenFile: nil, models: scratch.path("m"), data: scratch.path("d"),
      runs: scratch.path("r"))
    var run = RunOptions()
    run.takesRuns = true
    let desk = try RunDesk(
      folder: options.runs, process: CoordinatorProcess(options: run), lines: RecentLines(), post: { _ in })
    let logger = Logger(label: "test")
    let parts = WebRoutes(
      options: options, desk: desk, limits: RequestLimits(), completions: CompletionProcess(logger: logger),
      exports: CheckpointExports(runs: options.runs, logger: logger), logger: logger)
    let served = parts.routes.map {
      "\($0.method.rawValue) \($0.path)"
    }
    let written = (Self.file["paths"]?.object?.members ?? []).flatMap { path in
      (path.value.object?.members ?? []).map { "\($0.key.uppercased()) \(path.key)" }
    }
    #expect(served.sorted() == written.sorted())
  }

  @Test func fields() throws {
    let service = try RunningService()
    try service.json("POST", "start", RunningService.config("a"))
    try service.waitForEnd(of: "a")
    let asked: [(method: String, path: String, body: JSONValue?)] = [
      ("GET", "status", nil), ("GET", "metrics", nil), ("GET", "experiments", nil),
      ("GET", "experiments/a", nil),
      ("GET", "tier-info", nil), ("GET", "config-keys", nil), ("GET", "models", nil),
      ("GET", "adapters", nil),
      ("GET", "datasets", nil), ("GET", "session", nil), ("POST", "start", RunningService.config("b")),
      ("POST", "preview", RunningService.config("c")), ("POST", "schedule", ["lr_schedule": "cosine"]),
    ]
    for (method, path, body) in asked {
      let template = path.hasPrefix("experiments/") ? "experiments/{name}" : path
      let answer = try service.json(method, path, body)
      try Self.check(answer, method, "/nested-learning/\(template)")
    }
    let tags = try service.json("POST", "experiments/a/tags", ["tags": ["x"]])
    try Self.check(tags, "POST", "/nested-learning/experiments/{name}/tags")
    let renamed = try service.json("POST", "experiments/a/rename", ["experiment_name": "z"])
    try Self.check(renamed, "POST", "/nested-learning/experiments/{name}/rename")
  }

  @Test func fieldsOfOpenAI() throws {
    let service = try RunningService()
    let row = "{\"text\": \"The river froze early that year.\"}\n"
    let file = try service.upload("f.jsonl", row + row + row)
    let job = try service.v1(
      "POST", "fine_tuning/jobs",
      [
        "model": "qwen2_f32", "training_file": .string(file), "suffix": "a", "metadata": ["a": "b"],
        "hyperparameters": ["n_epochs": 3], "nested_learning": ["max_seq_length": 32],
      ])
    try Self.check(job, "POST", "/v1/fine_tuning/jobs")
    let one = "fine_tuning/jobs/\(job["id"]?.string ?? "")"
    try service.wait("its end") {
      try ["succeeded", "failed"].contains(service.v1("GET", one)["status"]?.string)
    }
    #expect(try service.v1("GET", one)["status"] == "succeeded")
    let asked = [
      ("files", "files"), ("files/\(file)", "files/{file_id}"), ("models", "models"),
      ("models/a/checkpoints/final", "models/{model}"), ("fine_tuning/jobs", "fine_tuning/jobs"),
      (one, "fine_tuning/jobs/{fine_tuning_job_id}"),
      (one + "/events", "fine_tuning/jobs/{fine_tuning_job_id}/events"),
      (one + "/checkpoints", "fine_tuning/jobs/{fine_tuning_job_id}/checkpoints"),
    ]
    for (path, template) in asked { try Self.check(service.v1("GET", path), "GET", "/v1/\(template)") }
    let text = try service.v1(
      "POST", "completions", ["model": "qwen2_f32", "prompt": "The", "max_tokens": 3])
    try Self.check(text, "POST", "/v1/completions")
    try service.scratch.write("models/qwen2_f32/chat_template.jinja", "{{ messages[0]['content'] }}")
    try service.killAndStart()
    let chat = try service.v1(
      "POST", "chat/completions", ["model": "qwen2_f32", "messages": [["role": "user", "content": "The"]]])
    try Self.check(chat, "POST", "/v1/chat/completions")
    let refused = try service.answer("GET", "/v1/files/none")
    let schema: JSONValue = ["$ref": "#/components/schemas/OpenAIError"]
    #expect(Schema(Self.file).faults(try JSONValue(parsing: refused.body), schema, "e") == [])
    try Self.check(service.v1("DELETE", "files/\(file)"), "DELETE", "/v1/files/{file_id}")
  }

  /// An answer has the fields of its schema and no others.
  private static func check(_ answer: JSONValue, _ method: String, _ path: String) throws {
    let schema = file["paths"]?[path]?[method.lowercased()]?["responses"]?["200"]?["content"]?[
      "application/json"]?["schema"]
    let faults = Schema(file).faults(answer, try #require(schema, "\(method) \(path)"), path)
    #expect(faults == [], "\(faults)")
  }

  /// The check itself finds what is missing, and what is too much.
  @Test func aFieldTooManyAndOneTooFew() throws {
    let schema: JSONValue = ["$ref": "#/components/schemas/Error"]
    let right: JSONValue = ["error": "x", "field": nil, "hint": "y"]
    #expect(Schema(Self.file).faults(right, schema, "e") == [])
    #expect(Schema(Self.file).faults(["error": "x", "field": nil], schema, "e") == ["e: hint is missing"])
    let more: JSONValue = ["error": "x", "field": nil, "hint": "y", "more": 1]
    #expect(Schema(Self.file).faults(more, schema, "e") == ["e: more is not in the file"])
    #expect(Schema(Self.file).faults(["error": 1, "field": nil, "hint": nil], schema, "e").count == 1)
  }
}

/// As much of JSON Schema as the file uses.
private struct Schema {
  let file: JSONValue

  init(_ file: JSONValue) { self.file = file }

  func faults(_ value: JSONValue, _ schema: JSONValue, _ place: String) -> [String] {
    if let name = schema["$ref"]?.string?.split(separator: "/").last {
      guard let named = file["components"]?["schemas"]?[String(name)] else {
        return ["\(place): no schema \(name)"]
      }
      return faults(value, named, place)
    }
    var faults: [String] = []
    let types = schema["type"]?.string.map { [$0] } ?? schema["type"]?.array?.compactMap(\.string) ?? []
    if !types.isEmpty, !types.contains(where: { Self.has(value, $0) }) {
      faults.append("\(place) is \(value.kind), and not \(types)")
    }
    if let words = schema["enum"]?.array, !words.contains(value) {
      faults.append("\(place) is \(value.text)")
    }
    for (index, item) in (value.array ?? []).enumerated() {
      if let items = schema["items"] { faults += self.faults(item, items, "\(place)[\(index)]") }
    }
    guard let object = value.object else { return faults }
    let properties = schema["properties"]?.object
    for name in schema["required"]?.array?.compactMap(\.string) ?? [] where object[name] == nil {
      faults.append("\(place): \(name) is missing")
    }
    for member in object.members {
      if let property = properties?[member.key] {
        faults += self.faults(member.value, property, "\(place).\(member.key)")
      } else if schema["additionalProperties"] == false {
        faults.append("\(place): \(member.key) is not in the file")
      } else if let others = schema["additionalProperties"], others.object != nil {
        faults += self.faults(member.value, others, "\(place).\(member.key)")
      }
    }
    return faults
  }

  private static func has(_ value: JSONValue, _ type: String) -> Bool {
    switch type {
    case "string": value.string != nil
    case "integer": value.int != nil
    case "number": value.double != nil
    case "boolean": value.bool != nil
    case "array": value.array != nil
    case "object": value.object != nil
    case "null": value.isNull
    default: false
    }
  }
}

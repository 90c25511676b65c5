import Foundation
import Harness
import JSON
import NestedLearning
import Testing

/// Requests that are wrong, and those that need no run.
@Suite struct RequestTests {
  private let service: RunningService

  init() throws { service = try RunningService(["--upload-limit", "1000"]) }

  private func start(_ changes: [String: JSONValue]) throws -> HTTPAnswer {
    try service.answer("POST", "/nested-learning/start", RunningService.config("wrong", changes))
  }

  /// What is wrong in a request, as JSON by key.
  private static let wrongValues = [
    ("batch_size", "0"), ("num_steps", #""many""#), ("tier_update_frequencies", "[4, 2]"), ("lora_rnk", "3"),
    ("base_model_path", #""/etc""#), ("base_model_path", #""../data""#), ("base_model_path", #""nothing""#),
    ("train_data_path", #""/etc/passwd""#), ("train_data_path", #""../../../../etc/passwd""#),
    ("train_data_path", #"[{"path": "/etc/passwd", "weight": 1}]"#), ("val_data_path", #""none.jsonl""#),
    ("val_data_path", #"["valid.jsonl", "/etc/passwd"]"#), ("adapter_path", #""/""#),
    ("replay_data_path", #""/etc/hostname""#), ("ewc_data_path", #""/etc/hostname""#),
    ("output_path", #""/tmp""#), ("experiment_name", #""../x""#),
    ("experiment_name", #""..""#), ("experiment_name", #"".hidden""#), ("experiment_name", #""a/b""#),
    ("train_data_path", #""train.jsonl\u0000""#),
  ]

  @Test func aWrongValueIsNamed() throws {
    for (field, value) in Self.wrongValues {
      let answer = try start([field: try JSONValue(parsing: value)])
      let error = try JSONValue(parsing: answer.body)
      #expect(answer.status == "422" && error["field"]?.string == field, "\(field) \(value): \(answer.body)")
      #expect(error["error"]?.string?.isEmpty == false)
    }
  }

  private static let wrongRequests: [(method: String, path: String, body: String?, status: String)] = [
    ("POST", "start", "{", "400"), ("POST", "start", "[]", "400"), ("POST", "start", "", "422"),
    ("GET", "status?experiment=none", nil, "404"), ("GET", "experiments/none", nil, "404"),
    ("GET", "experiments/..%2F..%2Fetc", nil, "404"), ("GET", "experiments/none/report", nil, "404"),
    ("GET", "metrics?since=x", nil, "422"), ("GET", "metrics?limit=0", nil, "422"),
    ("GET", "metrics?experiment=none", nil, "404"),
    ("POST", "stop", nil, "409"), ("POST", "pause", nil, "409"), ("POST", "resume", nil, "409"),
    ("POST", "stop", #"{"experiment_name": "none"}"#, "404"), ("POST", "resume?experiment=none", nil, "404"),
    ("POST", "queue", #"{"order": ["none"]}"#, "404"), ("POST", "queue", "{}", "422"),
    ("GET", "nothing", nil, "404"),
    ("DELETE", "status", nil, "404"), ("POST", "preview", "{}", "422"),
  ]

  @Test func eachError() throws {
    for (method, path, body, status) in Self.wrongRequests {
      let answer = try ask(
        service.port, method, "/nested-learning/" + path,
        headers: ["Host: 127.0.0.1"] + (body == nil ? [] : ["Content-Type: application/json"]), body: body)
      #expect(answer.status == status, "\(method) \(path): \(answer.body)")
      let members = try JSONValue(parsing: answer.body).object?.members.map(\.key)
      #expect(members == ["error", "field", "hint"])
    }
  }

  @Test func aLargeBody() throws {
    let answer = try start(["experiment_name": .string(String(repeating: "x", count: 300_000))])
    #expect(answer.status == "413")
  }

  /// Pieces come in order, a file has its name once it is whole, and nothing else is written.
  @Test func anUpload() throws {
    func piece(_ query: String, _ text: String) throws -> HTTPAnswer {
      try ask(
        service.port, "POST", "/nested-learning/upload?" + query,
        headers: ["Host: 127.0.0.1", "Content-Type: application/octet-stream"], body: text)
    }
    #expect(try piece("name=up.jsonl&size=8", "abcd").status == "200")
    #expect(!FileManager.default.fileExists(atPath: service.scratch.path("data/up.jsonl")))
    #expect(try piece("name=up.jsonl&size=8&offset=2", "cd").status == "409")
    #expect(try piece("name=up.jsonl&size=8&offset=4", "efghi").status == "413")
    let last = try piece("name=up.jsonl&size=8&offset=4", "efgh")
    #expect(try JSONValue(parsing: last.body)["complete"] == true)
    #expect(try String(contentsOfFile: service.scratch.path("data/up.jsonl"), encoding: .utf8) == "abcdefgh")
    #expect(try piece("name=up.jsonl&size=8", "abcd").status == "409")
    #expect(try piece("name=large.jsonl&size=1001", "a").status == "413")
    for name in ["..%2Fx.jsonl", "%2Fetc%2Fx.jsonl", ".x.jsonl", "x.sh", ""] {
      #expect(try piece("name=\(name)&size=1", "a").status == "422", "\(name)")
    }
    let listed = try service.json("GET", "datasets")["datasets"]?.array?.compactMap { $0["id"]?.string }
    #expect(listed?.sorted() == ["train.jsonl", "up.jsonl", "valid.jsonl"])
  }

  /// One that sends more than it has said is cut off, long before its end.
  @Test func anUploadThatLies() throws {
    let script = """
      exec 3<>/dev/tcp/127.0.0.1/\(service.port)
      printf 'POST /nested-learning/upload?name=lie.jsonl&size=8 HTTP/1.1\\r\\nHost: localhost\\r\\n' >&3
      printf 'Content-Length: 100000000000\\r\\n\\r\\n' >&3
      trap '' PIPE
      (head -c 100000000000 /dev/zero >&3) 2>/dev/null && echo all was read
      exit 0
      """
    let result = try Program(name: "/bin/bash").run(["-c", script]).expectSuccess()
    #expect(!result.output.contains("all was read"))
    #expect(try service.status()["status"] == "idle")
  }

  /// Connections without a request, more than there may be: others are answered while they are held.
  @Test func idleConnections() throws {
    let script = """
      ulimit -n 1024
      for i in {1..700}; do exec {fd}<>/dev/tcp/127.0.0.1/$1 || exit 1; done
      printf ready; read -r -t 600
      """
    let holder = try Program(name: "/bin/bash").start(["-c", script, "-", "\(service.port)"])
    defer { holder.terminate() }
    try service.wait("the connections") { holder.output.contains("ready") || !holder.process.isRunning }
    #expect(holder.output.contains("ready"))
    for _ in 0..<20 { #expect(try service.status()["status"] == "idle") }
  }

  /// What a preview says is what the command that it gives says.
  @Test func aPreview() throws {
    let config = RunningService.config("shown", ["tier_update_frequencies": [1, 2, 5]])
    let preview = try service.json("POST", "preview", config)
    #expect(preview["config"]?["tier_update_frequencies"] == [1, 2, 5])
    #expect(preview["tiers"]?.array?.compactMap { $0["updates"]?.int } == [10, 5, 2])
    #expect(preview["data"]?["files"]?.array?.count == 2)
    #expect(preview["layers"]?.array?.isEmpty == false)
    let command = preview["command_line"]?.string ?? ""
    let line = command.replacing("nl-coord ", with: Program.folder.path + "/nl-coord ", maxReplacements: 1)
    let shell = try Program(name: "/bin/bash").run(["-c", line + " --validate-only"]).expectSuccess()
    #expect(shell.output.trimmingCharacters(in: .newlines) == preview["summary"]?.string)
    let yaml = try service.scratch.write("shown.yaml", preview["yaml"]?.string ?? "")
    let file = try Program.coord.run(["train", "--config", yaml, "--validate-only"]).expectSuccess()
    #expect(file.output == shell.output)
    #expect(!FileManager.default.fileExists(atPath: service.runs + "/shown"))
  }

  /// The form of the page is made from all keys there are.
  @Test func everyKeyIsDescribed() throws {
    let keys = try service.json("GET", "config-keys")["keys"]?.array ?? []
    #expect(keys.compactMap { $0["name"]?.string } == NestedLearningConfig.keys.map(\.name))
    #expect(keys.allSatisfy { $0["help"]?.string?.isEmpty == false && $0["group"]?.string?.isEmpty == false })
  }

  /// A stream begins with how things stand.
  @Test func events() throws {
    let script = """
      exec 3<>/dev/tcp/127.0.0.1/\(service.port)
      printf 'GET /nested-learning/events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' >&3
      while read -t 2 -r line <&3; do printf '%s\\n' "$line"; done; true
      """
    let answer = try Program(name: "/bin/bash").run(["-c", script]).expectSuccess()
    #expect(
      answer.output.contains("text/event-stream")
        && answer.output.contains("event: status\ndata: {\"status\":"))
  }
}

import Foundation
import Harness
import JSON
import Testing

/// `/v1/files`.
@Suite struct FileTests {
  @Test func fromItsUploadToItsEnd() throws {
    let service = try RunningService()
    let text = "{\"text\": \"a\"}\r\n{\"text\": \"b\"}\n"
    let first = try service.upload("same.jsonl", text)
    let second = try service.upload("same.jsonl", text)
    #expect(first != second)
    let file = try service.v1("GET", "files/\(first)")
    #expect(file["object"] == "file" && file["filename"] == "same.jsonl" && file["purpose"] == "fine-tune")
    #expect(file["bytes"]?.int == text.utf8.count && file["status"] == "processed")
    #expect(try service.answer("GET", "/v1/files/\(first)/content").body == text)
    // It is there for runs that are started from the page, too.
    let datasets = try service.json("GET", "datasets")["datasets"]?.array?.compactMap { $0["id"]?.string }
    #expect(datasets?.contains("\(first)/same.jsonl") == true)
    try service.killAndStart()
    let ids = { (query: String) in
      try service.v1("GET", "files?\(query)")["data"]?.array?.compactMap { $0["id"]?.string } ?? []
    }
    #expect(try Set(ids("")) == [first, second])
    #expect(try ids("purpose=other") == [])
    let one = try service.v1("GET", "files?limit=1")
    #expect(one["has_more"] == true)
    let rest = try ids("after=\(one["last_id"]?.string ?? "")")
    #expect(rest.count == 1 && rest[0] != one["first_id"]?.string)
    #expect(try service.v1("DELETE", "files/\(first)")["deleted"] == true)
    #expect(try ids("") == [second])
    #expect(try service.answer("GET", "/v1/files/\(first)/content").status == "404")
    #expect(!FileManager.default.fileExists(atPath: service.scratch.path("data/\(first)")))
  }

  @Test func eachError() throws {
    let service = try RunningService(["--upload-limit", "100"])
    let folder = service.scratch.path("data")
    func status(_ name: String, _ text: String, purpose: String? = "fine-tune") throws -> (String, String?) {
      let answer = try service.post(
        form: [purpose.map { ("purpose", nil, $0) }, ("file", name, text)].compactMap(\.self))
      return (answer.status, try JSONValue(parsing: answer.body)["error"]?["param"]?.string)
    }
    for name in ["../x.jsonl", "/etc/x.jsonl", ".x.jsonl", "x.sh", "", ".about.json"] {
      #expect(try status(name, "a") == ("400", "file"), "\(name)")
    }
    #expect(try status("x.jsonl", "a", purpose: "assistants") == ("400", "purpose"))
    #expect(try status("x.jsonl", "a", purpose: nil) == ("400", "purpose"))
    #expect(try status("x.jsonl", String(repeating: "a", count: 101)) == ("413", "file"))
    #expect(try status("x.jsonl", String(repeating: "a", count: 100)).0 == "200")
    #expect(try service.post(form: [("purpose", nil, "fine-tune")]).status == "400")
    #expect(try service.post(form: [("other", nil, "a")]).status == "400")
    // One that says it is larger than any may be is not read at all.
    let announced = try ask(
      service.port, "POST", "/v1/files",
      headers: [
        "Host: 127.0.0.1", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 10000000000",
      ])
    #expect(announced.status == "413" && announced.head.lowercased().contains("connection: close"))
    let other = try ask(
      service.port, "POST", "/v1/files", headers: ["Host: 127.0.0.1", "Content-Type: application/json"],
      body: "{}")
    #expect(other.status == "400")
    for path in ["file-0", "..%2F..", "file-000000000000000000000000", "train.jsonl"] {
      for method in ["GET", "DELETE"] {
        let answer = try service.answer(method, "/v1/files/\(path)")
        #expect(answer.status == "404", "\(method) \(path)")
        let error = try JSONValue(parsing: answer.body)["error"]
        #expect(error?.object?.members.map(\.key) == ["message", "type", "param", "code"])
      }
    }
    for query in ["limit=0", "limit=x", "after=none", "order=up"] {
      #expect(try service.answer("GET", "/v1/files?\(query)").status == "400", "\(query)")
    }
    // Of what was refused nothing is left, and every place for uploads is free again.
    let left = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix(".upload") }
    #expect(left == [])
    for _ in 0..<8 { _ = try service.upload("y.jsonl", "a") }
  }

  @Test func aFileThatARunReads() throws {
    let service = try RunningService(delay: 0.03)
    let row = "{\"text\": \"The river froze early.\"}\n"
    let file = try service.upload("mine.jsonl", row + row)
    let job = try service.v1(
      "POST", "fine_tuning/jobs",
      [
        "model": "qwen2_f32", "training_file": .string(file),
        "nested_learning": ["num_steps": 100_000, "max_seq_length": 32],
      ])
    #expect(try service.answer("DELETE", "/v1/files/\(file)").status == "409")
    try service.v1("POST", "fine_tuning/jobs/\(job["id"]?.string ?? "")/cancel")
    try service.wait("its end") { try service.json("GET", "experiments")["queue"] == [] }
    #expect(try service.answer("DELETE", "/v1/files/\(file)").status == "200")
  }
}

extension RunningService {
  /// A request with a form: its fields, with a name where one is a file.
  func post(form: [(name: String, file: String?, text: String)]) throws -> HTTPAnswer {
    let parts = form.map { part in
      let file = part.file.map { "; filename=\"\($0)\"" } ?? ""
      return "--b\r\nContent-Disposition: form-data; name=\"\(part.name)\"\(file)\r\n\r\n\(part.text)\r\n"
    }
    return try ask(
      port, "POST", "/v1/files",
      headers: ["Host: 127.0.0.1", "Content-Type: multipart/form-data; boundary=b"],
      body: parts.joined() + "--b--\r\n")
  }

  /// - Returns: the file's id
  func upload(_ name: String, _ text: String) throws -> String {
    let answer = try post(form: [("purpose", nil, "fine-tune"), ("file", name, text)])
    guard let id = try JSONValue(parsing: answer.body)["id"]?.string else { throw HarnessError(answer.body) }
    return id
  }

  /// A request below /v1 that is to be answered with 200.
  @discardableResult func v1(_ method: String, _ path: String, _ body: JSONValue? = nil) throws -> JSONValue {
    let answer = try answer(method, "/v1/" + path, body)
    guard answer.status == "200" else {
      throw HarnessError("\(method) \(path): \(answer.status) \(answer.body)")
    }
    return try JSONValue(parsing: answer.body)
  }
}

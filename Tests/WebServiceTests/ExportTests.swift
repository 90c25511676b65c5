import Foundation
import Harness
import JSON
import Testing

/// Checkpoints in forms that the service makes when they are asked for.
@Suite struct ExportTests {
  private static func service(delay: Double? = nil) throws -> RunningService {
    let faults = delay.map { ["NL_FAILPOINTS": "export.delay=\($0)"] } ?? [:]
    let service = try RunningService(environment: faults)
    try service.json("POST", "start", RunningService.config("a"))
    try service.waitForEnd(of: "a")
    return service
  }

  private static let path = "/nested-learning/experiments/a/checkpoints/final"

  private static func left(_ service: RunningService) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: service.runs + "/.exports")) ?? []
  }

  /// The processes that make something.
  private static func makers(_ service: RunningService) throws -> [String] {
    let script = "pgrep -P \(service.program.id) -f make-checkpoint || true"
    return try Program(name: "/bin/bash").run(["-c", script]).output.split(separator: "\n").map(String.init)
  }

  /// Each is what the tool makes by hand, byte for byte.
  @Test func theyAreWhatTheToolMakes() throws {
    let service = try Self.service()
    let url = "http://127.0.0.1:\(service.port)\(Self.path)"
    let script = """
      set -e; cd "$1"; mkdir got
      base=$1/models/qwen2_f32; final=$1/runs/a/checkpoints/final
      for form in gguf merged_gguf; do curl -sf "$2?form=$form" -o got/$form.gguf; done
      curl -sf -D head "$2?form=merged" | tar -x -C got
      grep -qi 'filename="a-final.tar"' head
      "$3" merge --model "$base" --adapter "$final" --output "$1/by-hand/a-final"
      "$3" export --format gguf --adapter "$final" --model "$base" --output "$1/by-hand/gguf.gguf"
      "$3" export --format gguf --model "$1/by-hand/a-final" --output "$1/by-hand/merged_gguf.gguf"
      diff -r got "$1/by-hand"
      """
    try Program(name: "/bin/bash").run([
      "-c", script, "-", service.scratch.path("."), url, Program.folder.path + "/nl-tool",
    ])
    .expectSuccess()
    try service.wait("nothing being left") { Self.left(service).isEmpty }
  }

  @Test func whatIsRefused() throws {
    let service = try Self.service()
    for (query, status) in [("form=zip", "422"), ("form=", "422")] {
      let answer = try service.answer("GET", Self.path + "?" + query)
      #expect(answer.status == status && answer.body.contains(#""field":"form""#), "\(answer.body)")
    }
    #expect(
      try service.answer("GET", "/nested-learning/experiments/a/checkpoints/none?form=gguf").status == "404")
    // A base model that has gone is named, and the next may be asked for.
    let (here, away) = (service.scratch.path("models/qwen2_f32"), service.scratch.path("away"))
    try FileManager.default.moveItem(atPath: here, toPath: away)
    let answer = try service.answer("GET", Self.path + "?form=merged")
    #expect(answer.status == "422" && answer.body.contains("qwen2_f32"), "\(answer.body)")
    try FileManager.default.moveItem(atPath: away, toPath: here)
    try service.wait("nothing being left") { Self.left(service).isEmpty }
    #expect(try service.answer("GET", Self.path + "?form=gguf").status == "200")
  }

  /// One at a time; whoever goes ends what was made for it, and the next is made.
  @Test func oneAtATimeAndNobodyWaitsForTheDead() throws {
    let service = try Self.service(delay: 2)
    let url = "http://127.0.0.1:\(service.port)\(Self.path)?form=merged"
    let client = try Program(name: "/bin/bash").start(["-c", "exec curl -s -o /dev/null '\(url)'"])
    try service.wait("its process") { try !Self.makers(service).isEmpty }
    let second = try service.answer("GET", Self.path + "?form=gguf")
    #expect(second.status == "429" && second.body.contains("one at a time"), "\(second.body)")
    #expect(try service.answer("GET", Self.path + "?form=peft").status == "200", "nothing is made for it")
    let maker = try Self.makers(service).first ?? ""
    let niceness = try Program(name: "/bin/bash").run(["-c", "ps -o ni= -p \(maker)"]).output
    #expect(niceness.trimmingCharacters(in: .whitespacesAndNewlines) == "19")
    client.terminate()
    try service.wait("its end") { try Self.makers(service).isEmpty && Self.left(service).isEmpty }
    try service.wait("room for the next") {
      try service.answer("GET", Self.path + "?form=gguf").status == "200"
    }
    try service.wait("nothing being left") { Self.left(service).isEmpty }
  }

  /// Nothing is left of one that was being made when the service was killed.
  @Test func aKillOfTheService() throws {
    let service = try Self.service(delay: 600)
    let url = "http://127.0.0.1:\(service.port)\(Self.path)?form=merged"
    let client = try Program(name: "/bin/bash").start(["-c", "exec curl -s -o /dev/null '\(url)'"])
    defer { client.terminate() }
    try service.wait("its process") { try !Self.makers(service).isEmpty }
    let maker = try #require(Self.makers(service).first)
    #expect(Self.left(service).count == 1)
    try service.killAndStart()
    // What nobody has collected yet has no command line any more.
    try service.wait("its end") {
      (try? String(contentsOfFile: "/proc/\(maker)/cmdline", encoding: .utf8))?.contains("make-checkpoint")
        != true
    }
    #expect(Self.left(service).isEmpty)
  }
}

import Foundation
import Harness
import JSON
import Testing

/// `POST /nested-learning/queue`: the order of runs that wait.
@Suite struct QueueOrderTests {
  /// One run at work until it is stopped, one that rests, and three that wait.
  private static func service() throws -> RunningService {
    let service = try RunningService(delay: 0.02)
    let long: [String: JSONValue] = ["num_steps": 100_000, "eval_every": 100_000]
    try service.json("POST", "start", RunningService.config("resting", long))
    try service.wait("its first step") { try service.step("resting") >= 1 }
    try service.json("POST", "pause", ["experiment_name": "resting"])
    try service.wait("its rest") { try service.status("resting")["status"] == "paused" }
    try service.json("POST", "start", RunningService.config("long", long))
    for name in ["b", "c", "d"] {
      try service.json("POST", "start", RunningService.config(name, ["num_steps": 3]))
    }
    try service.wait("the first step of long") { try service.step("long") >= 1 }
    return service
  }

  private static func waiting(_ service: RunningService) throws -> JSONValue? {
    try service.json("GET", "experiments")["waiting"]
  }

  /// The order is the same after a kill in the very next moment, and the runs begin in it.
  @Test func itIsKeptAndFollowed() throws {
    let service = try Self.service()
    #expect(try Self.waiting(service) == ["b", "c", "d"])
    let answer = try service.json("POST", "queue", ["order": ["d", "b"]])
    #expect(answer["waiting"] == ["d", "b", "c"] && answer["queue"] == ["resting", "long", "d", "b", "c"])
    try service.killAndStart()
    #expect(try service.json("GET", "experiments")["queue"] == ["resting", "long", "d", "b", "c"])
    try service.wait("long again") { try service.status("long")["status"] == "running" }
    #expect(try Self.waiting(service) == ["d", "b", "c"])
    try service.json("POST", "stop", ["experiment_name": "long"])
    for name in ["b", "c", "d"] { try service.waitForEnd(of: name) }
    let begun = try ["d", "b", "c"].map {
      try service.json("GET", "experiments/\($0)")["created_at"]?.string ?? ""
    }
    #expect(begun == begun.sorted() && Set(begun).count == 3)
  }

  @Test func whatIsRefused() throws {
    let service = try Self.service()
    let refused: [(body: JSONValue, status: String, says: String)] = [
      ([:], "422", "list"), (["order": "b"], "422", "list"), (["order": []], "422", "list"),
      (["order": ["b", 1]], "422", "list"), (["order": ["b", "b"]], "422", "twice"),
      (["order": ["b", "none"]], "404", "none"), (["order": ["b", "long"]], "409", "has begun"),
      (["order": ["resting"]], "409", "rests"),
    ]
    for (body, status, says) in refused {
      let answer = try service.answer("POST", "/nested-learning/queue", body)
      let error = try JSONValue(parsing: answer.body)
      #expect(answer.status == status && error["field"] == "order", "\(body.text): \(answer.body)")
      #expect(error["error"]?.string?.contains(says) == true && error["hint"] != nil, "\(answer.body)")
    }
    #expect(try Self.waiting(service) == ["b", "c", "d"], "what is refused changes nothing")
    try service.json("POST", "stop", ["experiment_name": "long"])
    try service.waitForEnd(of: "d")
    let over = try service.answer("POST", "/nested-learning/queue", ["order": ["d"]])
    #expect(over.status == "409" && over.body.contains("not in the queue"))
  }
}

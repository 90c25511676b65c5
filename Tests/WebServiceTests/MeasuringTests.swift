import Foundation
import Harness
import JSON
import Testing

/// A run for which something is measured first, in a service: it has its name from the beginning, and can be stopped.
@Suite struct MeasuringTests {
  private static let importance: [String: JSONValue] = [
    "tier_assignment_strategy": "parameter_importance", "importance_steps": 7, "loss": "flow",
  ]

  @Test func itComesToWhatItComesToAlone() throws {
    let service = try RunningService(environment: ["NL_TOKEN_CACHE": "off"])
    try service.json("POST", "start", RunningService.config("m", Self.importance))
    try service.json("POST", "start", RunningService.config("after"))
    try service.waitForEnd(of: "m")
    try service.waitForEnd(of: "after")
    let alone = try TrainingRun(Self.importance)
    try alone.train()
    #expect(try service.adapterHash("m") == alone.adapterHash())
    #expect(!FileManager.default.fileExists(atPath: service.runs + "/m.measuring"))
  }

  @Test func aStopReachesTheMeasurement() throws {
    let service = try RunningService(delay: 0.05, environment: ["NL_TOKEN_CACHE": "off"])
    try service.json(
      "POST", "start",
      RunningService.config("m", Self.importance.merging(["importance_steps": 100_000]) { $1 }))
    try service.wait("a measurement") {
      FileManager.default.fileExists(atPath: service.runs + "/m.measuring/state.sqlite")
    }
    usleep(300_000)
    // It is part of the run that it is for.
    let shown = try service.json("GET", "experiments")["experiments"]?.array?.compactMap {
      $0["experiment_name"]?.string
    }
    #expect(shown == ["m"])
    try service.json("POST", "stop", ["experiment_name": "m"])
    try service.wait("an empty queue") { try service.json("GET", "experiments")["queue"] == [] }
    try service.json("POST", "start", RunningService.config("after"))
    try service.waitForEnd(of: "after")
  }

  /// Several in one second.
  @Test func runsWithoutANameGetOne() throws {
    let service = try RunningService()
    let names = try (0..<3).map { _ in
      guard case .object(var config) = RunningService.config("") else { throw HarnessError("no config") }
      config["experiment_name"] = nil
      return try service.json("POST", "start", .object(config))["experiment_name"]?.string ?? ""
    }
    #expect(Set(names).count == 3)
    for name in names { try service.waitForEnd(of: name) }
  }
}

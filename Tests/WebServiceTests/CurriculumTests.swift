import Harness
import JSON
import Testing

/// A curriculum that is asked for by HTTP comes to the bits of the command line, and its metrics say what was drawn.
@Suite struct CurriculumServiceTests {
  @Test func aCurriculum() throws {
    let curriculum: [String: JSONValue] = [
      "curriculum_strategy": "stages",
      "curriculum_stages": [["range": [0, 0.5], "target": 0], ["range": [0.4, 1], "target": 1]],
      "sampling_difficulty": "rarity",
    ]
    let service = try RunningService()
    try service.json("POST", "start", RunningService.config("c", curriculum))
    try service.waitForEnd(of: "c")
    let rows = try service.json("GET", "metrics?experiment=c")["metrics"]?.array ?? []
    #expect(rows.map { $0["curriculum_stage"]?.int } == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    #expect(rows.allSatisfy { ($0["sampled_difficulty"]?.double).map { (0...1).contains($0) } == true })
    let alone = try TrainingRun(curriculum)
    try alone.train()
    #expect(try service.adapterHash("c") == alone.adapterHash())
    // A stage's plan: 5 steps of periods 1, 2, 4, then each tier by the next ones, after its own boundary.
    let planned: [String: JSONValue] = [
      "curriculum_strategy": "stages", "sampling_difficulty": "length",
      "curriculum_stages": [["target": 0], ["target": 1, "frequencies": [2, 2, 3]]],
    ]
    try service.json("POST", "start", RunningService.config("p", planned))
    try service.waitForEnd(of: "p")
    let status = try service.json("GET", "status?experiment=p")
    let stats = (0..<3).compactMap { status["tier_stats"]?["tier_\($0)"] }
    #expect(stats.map { $0["frequency"]?.int } == [2, 2, 3])
    #expect(stats.map { $0["due_updates"]?.int } == stats.map { $0["update_count"]?.int })
    // 1 to 5, then 7 and 9; 2, 4, 6, 8, 10; 4, 8.
    #expect(stats.map { $0["due_updates"]?.int } == [7, 5, 2])
    // Modules that a stage moves are a tier by themselves, part of tier 2 from step 9 on: 1 to 8.
    let moved: [String: JSONValue] = [
      "curriculum_strategy": "stages", "sampling_difficulty": "length",
      "curriculum_stages": [["target": 0], ["target": 1, "tier_map": ["*.0.*.q_proj": 2]]],
    ]
    let preview = try service.json("POST", "preview", RunningService.config("m", moved))
    #expect((preview["tiers"]?.array ?? []).map { $0["config_tier"]?.int } == [0, 0, 1, 2])
    try service.json("POST", "start", RunningService.config("m", moved))
    try service.waitForEnd(of: "m")
    let of = try service.json("GET", "status?experiment=m")["tier_stats"]
    let parts = (0..<4).compactMap { of?["tier_\($0)"] }
    #expect(parts.map { $0["config_tier"]?.int } == [0, 2, 1, 2])
    #expect(parts.map { $0["update_count"]?.int } == [10, 8, 5, 2])
    #expect(parts.map { $0["due_updates"]?.int } == [10, 8, 5, 2])
    // A stage's data lie below the service's folders, as all data do.
    let outside = try service.answer(
      "POST", "/nested-learning/start",
      RunningService.config(
        "o",
        planned.merging(["curriculum_stages": [["target": 1, "data": "/etc/passwd"]]]) { $1 }))
    #expect(outside.status == "422" && outside.body.contains("curriculum_stages"), "\(outside.body)")
    // What does not go together is answered with its key.
    let answer = try service.answer(
      "POST", "/nested-learning/start",
      RunningService.config("d", ["curriculum_strategy": "progressive", "curriculum_final": 0.1]))
    #expect(answer.status == "422" && answer.body.contains("curriculum_final"), "\(answer.body)")
  }
}

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
    // What does not go together is answered with its key.
    let answer = try service.answer(
      "POST", "/nested-learning/start",
      RunningService.config("d", ["curriculum_strategy": "progressive", "curriculum_final": 0.1]))
    #expect(answer.status == "422" && answer.body.contains("curriculum_final"), "\(answer.body)")
  }
}

import LanguageModel
import NestedLearning
import Testing

@testable import Dataset

/// Rows of tasks; an id stands for a byte, so that places can be counted by hand.
@Suite struct TaskRowTests {
  static let heads = [
    TaskHead(name: "topic", kind: .classification, labels: ["sea", "mill"]),
    TaskHead(name: "tag", kind: .tokenClassification, labels: ["word", "name"]),
    TaskHead(name: "text", kind: .languageModeling, labels: []),
  ]

  private func read(
    _ text: String, heads: [TaskHead] = Self.heads, maxLength: Int = 64
  ) throws -> TokenRows {
    try withFile(text) { path in
      try TokenRows(
        file: path, encoder: RowEncoder(encoder: ByteEncoder(), template: nil, tasks: heads),
        options: RowOptions(maxLength: maxLength))
    }
  }

  private static let none = MicroBatch.ignored

  @Test func eachKindHasItsLabels() throws {
    let rows = try read(
      """
      {"task": "topic", "text": "abc", "label": "mill"}
      {"task": "topic", "text": "ab", "label": 0}
      {"task": "tag", "text": ["Ada", "is", "x"], "label": ["name", null, 0]}
      {"task": "text", "text": "ab"}

      """
    ).rows
    #expect(rows.map(\.task) == [0, 0, 1, 2])
    #expect(rows[0].ids == [97, 98, 99] && rows[0].taskLabels == [Self.none, Self.none, 1])
    #expect(rows[1].taskLabels == [Self.none, 0])
    // "Ada is x": the last bytes of the words are 2, 5 and 7.
    #expect(rows[2].ids.count == 8)
    #expect(rows[2].taskLabels == [Self.none, Self.none, 1, Self.none, Self.none, Self.none, Self.none, 0])
    // An end of text, and a label for all tokens but the last.
    #expect(rows[3].ids == [97, 98, 256] && rows[3].taskLabels == [98, 256, Self.none])
    #expect(rows.map(\.trainedCount) == [1, 1, 2, 2] && rows.map(\.count) == [3, 2, 8, 3])
    #expect((0..<4).map { rows.length(of: $0) } == [3, 2, 8, 3])
    #expect((0..<4).map { rows.trainedCount(of: $0) } == [1, 1, 2, 2])
    let batch = MicroBatch(rows: Array(rows))
    #expect(batch.rowTasks == [0, 0, 1, 2] && batch.offsets == [0, 3, 5, 13, 16])
    #expect(batch.trainedTokens == 6 && batch.tokens.count == 16 && batch.labels.count == 16)
  }

  /// A row that is cut keeps the label of the whole at its last token, and the labels of the words that stay.
  @Test func longRowsAreCut() throws {
    let rows = try read(
      """
      {"task": "topic", "text": "abcdef", "label": "mill"}
      {"task": "tag", "text": ["ab", "cd", "ef"], "label": [0, 1, 0]}
      {"task": "text", "text": "abcdef"}

      """, maxLength: 5
    ).rows
    #expect(rows[0].ids.count == 5 && rows[0].taskLabels == [Self.none, Self.none, Self.none, Self.none, 1])
    #expect(rows[1].taskLabels == [Self.none, 0, Self.none, Self.none, 1])
    #expect(rows[2].taskLabels == [98, 99, 100, 101, Self.none])
  }

  @Test func anOnlyTaskNeedsNoName() throws {
    let rows = try read(#"{"text": "ab", "label": "sea"}"# + "\n", heads: [Self.heads[0]]).rows
    #expect(rows[0].task == 0 && rows[0].taskLabels == [Self.none, 0])
  }

  /// A row by itself has no task, whatever keys it has.
  @Test func otherRunsReadRowsAsTheyDid() throws {
    let rows = try read(#"{"task": "topic", "text": "ab", "label": "sea"}"# + "\n", heads: []).rows
    #expect(rows[0].task == nil && rows[0].ids == [97, 98, 256])
    #expect(MicroBatch(rows: [rows[0]]).rowTasks.isEmpty)
  }

  @Test(arguments: [
    (#"{"text": "a", "label": "sea"}"#, "task: is missing, and there are several tasks"),
    (
      #"{"task": "tags", "text": "a"}"#,
      #"task: "tags" is none of the run's tasks; name one of topic, tag, text"#
    ),
    (#"{"task": "topic", "text": "a", "label": "town"}"#, #"label: "town" is no label of task topic"#),
    (#"{"task": "topic", "text": "a", "label": 2}"#, "label: 2 is no label of task topic"),
    (#"{"task": "topic", "text": "a"}"#, "label: null is no label of task topic"),
    (#"{"task": "tag", "text": "a b", "label": [0, 1]}"#, "text: must be a list of words, not a string"),
    (
      #"{"task": "tag", "text": ["a", "b"], "label": [0]}"#,
      "label: must be a list of 2 labels, one a word, not 1"
    ),
    (#"{"task": "text", "text": 3}"#, "text: must be a string"),
  ])
  func whatIsWrongIsNamed(row: String, message: String) throws {
    let error = #expect(throws: DataError.self) { try read(row + "\n") }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    #expect(error?.line == 1)
  }

  /// Micro-batch n, counted over all steps, takes rows of task n mod T, which come round in an order of their own.
  @Test(arguments: [false, true]) func tasksTakeTurns(shuffle: Bool) throws {
    let text =
      (0..<5).map { #"{"task": "topic", "text": "\#($0)", "label": 0}"# + "\n" }.joined()
      + (5..<8).map { #"{"task": "text", "text": "\#($0)"}"# + "\n" }.joined()
    let heads = [Self.heads[0], Self.heads[2]]
    let rows = try read(text, heads: heads).rows
    let config = config {
      $0.tasks = [
        TaskDefinition(name: "topic", kind: .classification, labels: ["sea", "mill"]),
        TaskDefinition(name: "text", kind: .languageModeling),
      ]
      ($0.tasksSchedule, $0.shuffle, $0.batchSize, $0.gradientAccumulationSteps) = (
        .roundRobin, shuffle, 2, 3
      )
    }
    let sampler = try StepSampler(rows: rows, config: config)
    var taken: [[Int]] = [[], []]
    for n in 0..<30 {
      let numbers = sampler.rowNumbers(step: n / 3 + 1, index: n % 3)
      #expect(numbers.count == 2 && numbers.allSatisfy { rows.task(of: $0) == n % 2 })
      taken[n % 2] += numbers
    }
    // 30 rows of each: six epochs of five, ten of three, in each of which every row comes once.
    for epoch in 0..<6 { #expect(taken[0][epoch * 5..<epoch * 5 + 5].sorted() == Array(0..<5)) }
    for epoch in 0..<10 { #expect(taken[1][epoch * 3..<epoch * 3 + 3].sorted() == Array(5..<8)) }
    #expect(shuffle || Array(taken[0].prefix(5)) == [0, 1, 2, 3, 4])
    let onlyTopics = try read(#"{"task": "topic", "text": "a", "label": 0}"# + "\n", heads: heads).rows
    let error = #expect(throws: DataError.self) { try StepSampler(rows: onlyTopics, config: config) }
    #expect(error?.description.contains("no row of task text") == true)
  }

  /// Two steps by turns, two of the second task, one of the first, and again of the second: each goes on in its order where
  /// it was.
  @Test func theWorstTaskGoesFirst() throws {
    let text =
      (0..<5).map { #"{"task": "topic", "text": "\#($0)", "label": 0}"# + "\n" }.joined()
      + (5..<8).map { #"{"task": "text", "text": "\#($0)"}"# + "\n" }.joined()
    let rows = try read(text, heads: [Self.heads[0], Self.heads[2]]).rows
    let config = config {
      $0.tasks = [
        TaskDefinition(name: "topic", kind: .classification, labels: ["sea", "mill"]),
        TaskDefinition(name: "text", kind: .languageModeling),
      ]
      ($0.tasksSchedule, $0.shuffle, $0.batchSize, $0.gradientAccumulationSteps) = (.worstFirst, false, 2, 3)
    }
    let sampler = try StepSampler(rows: rows, config: config)
    let worst = [(step: 2, task: 1), (step: 4, task: 0), (step: 5, task: 1)]
    var (tasks, taken): ([Int], [[Int]]) = ([], [[], []])
    for step in 1...7 {
      for index in 0..<3 {
        let numbers = sampler.rows(step: step, index: index, worst: worst).map(\.number)
        let task = try #require(rows.task(of: numbers[0]))
        tasks.append(task)
        taken[task] += numbers
      }
    }
    #expect(tasks == [0, 1, 0, 1, 0, 1] + [1, 1, 1, 1, 1, 1] + [0, 0, 0] + [1, 1, 1, 1, 1, 1])
    #expect(taken[0] == taken[0].indices.map { $0 % 5 })
    #expect(taken[1] == taken[1].indices.map { 5 + $0 % 3 })
    // What a step takes does not depend on evaluations behind it.
    #expect(
      sampler.rows(step: 3, index: 1, worst: worst) == sampler.rows(step: 3, index: 1, worst: [worst[0]]))
  }

  /// Prompts are cut into tokens as rows are, and need no label.
  @Test func promptsAreRowsWithoutLabels() throws {
    let encoder = RowEncoder(encoder: ByteEncoder(), template: nil, tasks: Self.heads)
    var prompts: [TaskPrompt] = []
    try withFile(
      #"{"task": "tag", "text": ["ab", "c"]}"# + "\n" + #"{"task": "topic", "text": "ab c"}"# + "\n"
    ) {
      try TaskPrompt.forEach(in: $0, encoder: encoder) { prompts.append($0) }
    }
    #expect(prompts.map(\.line) == [1, 2] && prompts.map(\.task) == [1, 0])
    #expect(prompts[0].ids == prompts[1].ids)
    #expect(prompts[0].words.map(\.place) == [1, 3])
  }
}

import ChatTemplate
import Foundation
import JSON
import LanguageModel
import NestedLearning

/// A row of a data file as tokens.
struct EncodedRow: Sendable {
  var row: TokenRow
  /// Turns of the assistant that were not found in what the template made of the conversation.
  var missingTurns = 0
  var isConversation = false
}

/// Makes token rows of the contents of rows, as training reads them. May be used from several threads at once.
public struct RowEncoder: Sendable {
  let encoder: any TextEncoder
  let trainOn: TrainOn
  /// The tasks that rows are of; empty: rows are by themselves.
  let tasks: [TaskHead]
  private let template: LazyTemplate

  /// - Parameter template: the model folder that the chat template is in, which is read once a conversation comes, and what
  ///   `strftime_now` shows; nil: conversations are refused.
  public init(
    encoder: any TextEncoder, template: (folder: String, date: TemplateDate)?,
    trainOn: TrainOn = .completions, tasks: [TaskHead] = []
  ) {
    self.tasks = tasks
    self.encoder = encoder
    self.trainOn = trainOn
    self.template = LazyTemplate(template)
  }

  func encode(_ content: RowContent) throws -> EncodedRow {
    switch content {
    case .text(let text):
      return EncodedRow(row: TokenRow(ids: try encoder.trainingIDs(text: text, maxLength: .max)))
    case .completion(let prompt, let completion): return try encode(prompt: prompt, completion: completion)
    case .conversation(let messages, let tools, let firstTrained):
      return try encode(messages, tools, firstTrained: firstTrained, trainOn)
    case .task(let content): return EncodedRow(row: try encode(content))
    }
  }

  /// The ids before the answer that a row has, and this answer's text; nil if it has none.
  func question(_ content: RowContent) throws -> (prompt: [Int32], answer: String)? {
    switch content {
    case .text, .task: return nil
    case .completion(let prompt, let completion):
      return (try encoder.promptIDs(text: prompt), completion)
    case .conversation(let messages, let tools, let firstTrained):
      let row = try encode(messages, tools, firstTrained: firstTrained, .completions).row
      guard let last = row.lastTrained else { return nil }
      let ids = row.ids
      return (
        Array(ids[..<last.lowerBound]), encoder.decode(Array(ids[last]), skipSpecialTokens: true)
      )
    }
  }

  /// The ids of the joined text and EOS, trained from where they leave the prompt's own ids.
  private func encode(prompt: String, completion: String) throws -> EncodedRow {
    let ids = try encoder.trainingIDs(text: prompt + completion, maxLength: .max)
    if trainOn == .all { return EncodedRow(row: TokenRow(ids: ids)) }
    let common = zip(ids, try encoder.promptIDs(text: prompt)).prefix { $0 == $1 }.count
    return EncodedRow(row: TokenRow(ids: ids, trained: [common..<ids.count]))
  }

  /// The rendered conversation, trained where the assistant's turns are, each up to its first end-of-turn id.
  private func encode(
    _ messages: [JSONValue], _ tools: JSONValue?, firstTrained: Int, _ trainOn: TrainOn
  ) throws -> EncodedRow {
    let (template, date) = try template.get()
    let rendered = try template.renderForTraining(messages: messages, tools: tools, date: date)
    let turns = rendered.turns.filter { $0.message >= firstTrained }
    let spans = turns.compactMap(\.span)
    let (ids, counts) = try encoder.encode(
      rendered.text, countingBefore: spans.flatMap { [$0.lowerBound, $0.upperBound] })
    guard trainOn == .completions else {
      return EncodedRow(row: TokenRow(ids: ids), isConversation: true)
    }
    let trained = spans.indices.map { turn(counts[2 * $0]..<counts[2 * $0 + 1], of: ids) }
    return EncodedRow(
      row: TokenRow(ids: ids, trained: trained), missingTurns: turns.count - spans.count, isConversation: true
    )
  }

  private func turn(_ range: Range<Int>, of ids: [Int32]) -> Range<Int> {
    let end = ids[range].firstIndex { encoder.turnEndTokenIDs.contains($0) }
    return range.lowerBound..<(end.map { $0 + 1 } ?? range.upperBound)
  }
}

/// A chat template that is read when the first conversation comes, so that other data needs none.
///
/// Unchecked: what changes is behind the lock.
private final class LazyTemplate: @unchecked Sendable {
  private let source: (folder: String, date: TemplateDate)?
  private let lock = NSLock()
  private var result: Result<ChatTemplate, any Error>?

  init(_ source: (folder: String, date: TemplateDate)?) { self.source = source }

  func get() throws -> (template: ChatTemplate, date: TemplateDate) {
    guard let source else { throw NoTemplate(folder: "the model") }
    return try lock.withLock {
      let read = result ?? Result { try Self.read(source.folder) }
      result = read
      return (try read.get(), source.date)
    }
  }

  private static func read(_ folder: String) throws -> ChatTemplate {
    guard ChatTemplate.exists(in: folder) else { throw NoTemplate(folder: folder) }
    return try ChatTemplate(modelFolder: folder)
  }
}

/// Conversations, and a model that does not say how they are written.
struct NoTemplate: Error, CustomStringConvertible {
  let folder: String

  var description: String {
    "a conversation needs a chat template, and \(folder) has none (chat_template.jinja, or chat_template in "
      + "tokenizer_config.json); take them from the model's instruct version, or give rows with prompt and completion "
      + "as strings"
  }
}

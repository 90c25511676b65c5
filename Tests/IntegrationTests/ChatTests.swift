import ChatTemplate
import Foundation
import Harness
import JSON
import LanguageModel
import Testing

@testable import Service

/// Conversations with a golden model that has been given a template, by the library and by the real program.
@Suite(.serialized) struct ChatTests {
  private func session(_ model: Scratch, _ change: (inout ChatSession.Options) -> Void = { _ in }) throws
    -> ChatSession
  {
    var options = ChatSession.Options(date: try #require(TemplateDate(parsing: "2026-11-29")))
    options.maxTokens = 12
    change(&options)
    return try ChatSession(
      LoadedModel(folder: model.folder, adapter: nil, threads: 1), system: nil, options: options)
  }

  private func reply(_ session: ChatSession, _ text: String) throws -> (String, ChatSession.Ending) {
    var answer = ""
    let ending = try session.reply(to: text) { answer += $0 }
    return (answer, ending)
  }

  /// What follows a text, with nothing kept of another one.
  private func continuation(of text: String, _ model: Scratch) throws -> String {
    let loaded = try LoadedModel(folder: model.folder, adapter: nil, threads: 1)
    let ids = try loaded.tokenizer.encode(text, addSpecialTokens: false)
    var stream = TextStream(tokenizer: loaded.tokenizer, after: ids)
    var shown = ""
    try loaded.model.generate(prompt: ids, maxTokens: 12, endTokens: loaded.tokenizer.endTokenIDs) {
      shown += stream.append($0)
      return true
    }
    return shown + stream.finish()
  }

  /// Each answer is what follows the whole conversation so far, as the template writes it.
  @Test func answersFollowTheTemplatesText() throws {
    let model = try templatedModel()
    let session = try session(model)
    let (first, ending) = try reply(session, "Hello")
    #expect(ending == .maxTokens)
    #expect(first == (try continuation(of: "<user>Hello\n<assistant>", model)))
    let (second, _) = try reply(session, "More")
    let text = "<user>Hello\n<assistant>\(first)\n<user>More\n<assistant>"
    #expect(second == (try continuation(of: text, model)))
    #expect(session.lastPrompt.reused >= 10 && session.lastPrompt.reused < session.lastPrompt.tokens)
    session.reset()
    #expect(try reply(session, "Hello").0 == first)
  }

  /// Of one seed, the same conversation has the same answers, and its turns draw numbers of their own.
  @Test func drawsAreThoseOfTheConversation() throws {
    let model = try templatedModel()
    let session = try session(model) { $0.sampling.temperature = 1.5 }
    let answers = [try reply(session, "Hello").0, try reply(session, "Hello").0]
    session.reset()
    #expect([try reply(session, "Hello").0, try reply(session, "Hello").0] == answers)
    session.reset()
    session.options.sampling.seed += 1
    #expect(try reply(session, "Hello").0 != answers[0])
  }

  @Test func anInterruptedAnswerStays() throws {
    let session = try session(try templatedModel())
    let interrupter = session.interrupter
    #expect(!interrupter.interrupt())
    var answer = ""
    let ending = try session.reply(to: "Hello") { piece in
      answer += piece
      interrupter.interrupt()
    }
    #expect(ending == .interrupted && !answer.isEmpty)
    #expect(session.messages.last?["content"]?.string == answer)
    #expect(try reply(session, "Go on").1 == .maxTokens)
  }

  /// An answer goes as far as the model's positions do; a turn beyond them leaves the conversation as it was.
  @Test func theContextHasAnEnd() throws {
    let session = try session(try templatedModel()) { $0.maxTokens = 100_000 }
    let (_, ending) = try reply(session, "Hello")
    let positions = try #require(
      try Fixtures.json("models/qwen2_f32/config.json")["max_position_embeddings"]?.int)
    #expect(ending == .contextFull(positions: positions))
    let before = session.messages
    let error = #expect(throws: ServiceError.self) { try reply(session, "More") }
    #expect(error?.description.contains("\(positions) positions") == true)
    #expect(session.messages == before)
  }

  @Test func aStopStringEndsATurn() throws {
    let model = try templatedModel()
    let whole = try reply(session(model), "Hello").0
    let stop = String(whole.dropFirst(3).prefix(2))
    let (cut, ending) = try reply(session(model) { $0.stops = [stop] }, "Hello")
    let before = try #require(whole.range(of: stop)).lowerBound
    #expect(cut == String(whole[..<before]) && ending == .complete)
  }

  /// A line of standard input is a turn; commands are none.
  @Test func theProgramTakesTurnsFromAPipe() throws {
    let model = try templatedModel()
    let session = try session(model)
    let answers = [try reply(session, "Hello").0, try reply(session, "More").0]
    let arguments = ["chat", "--model", model.folder, "--max-tokens", "12"]
    let result = try Program.tool.run(
      arguments, input: "Hello\n\nMore\n/nonsense\n/reset\nHello\n/quit\nNever\n"
    ).expectSuccess()
    #expect(result.output == "\(answers[0])\n\(answers[1])\n\(answers[0])\n")
    #expect(result.errors.contains("no command /nonsense"))
    #expect(result.errors.contains("--max-tokens"))
    let long = try Program.tool.run(arguments, input: String(repeating: "long ", count: 500))
    #expect(long.status != 0 && long.errors.contains("positions"), "\(long.everything)")
  }

  @Test func aModelWithoutATemplateIsNamed() throws {
    let folder = Fixtures.path("models/qwen2_f32")
    let result = try Program.tool.run(["chat", "--model", folder], input: "Hello\n")
    #expect(result.status != 0 && result.errors.contains("no chat template"), "\(result.everything)")
    #expect(result.errors.contains(folder) && result.output.isEmpty)
  }
}

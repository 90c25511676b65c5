import ChatTemplate
import Foundation
import JSON
import LanguageModel
import Synchronization
import Tensors

/// A conversation with a model, through its chat template.
///
/// What a turn's text has in common with the last one at its beginning is not computed again.
public final class ChatSession {
  /// Why an answer ends.
  public enum Ending: Sendable, Equatable {
    /// The model ended it, or a stop string came.
    case complete
    /// As many tokens came as were asked for.
    case maxTokens
    /// The model has no more positions.
    case contextFull(positions: Int)
    case interrupted
  }

  /// How answers are made.
  public struct Options: Sendable {
    public var maxTokens = 512
    public var sampling = SamplingOptions()
    public var stops: [String] = []
    /// Of the template, such as `enable_thinking`.
    public var variables: JSONObject = [:]
    /// What the template may show as the day.
    public var date: TemplateDate

    public init(date: TemplateDate) { self.date = date }
  }

  /// The answer that is being made, for other threads to end it.
  public final class Interrupter: Sendable {
    private let watch = Mutex<ComputationWatch?>(nil)

    /// Ends the answer.
    ///
    /// - Returns: false if there is none.
    @discardableResult
    public func interrupt() -> Bool {
      watch.withLock { watch in
        watch?.cancel()
        return watch != nil
      }
    }

    fileprivate func set(_ new: ComputationWatch?) { watch.withLock { $0 = new } }
  }

  public let interrupter = Interrupter()
  public var options: Options
  public private(set) var messages: [JSONValue] = []
  /// Tokens of the last turn's prompt, and how many of them were not computed again.
  public private(set) var lastPrompt = (tokens: 0, reused: 0)
  private let loaded: LoadedModel
  private let template: ChatTemplate
  private let generator: TextGenerator
  private let system: String?

  /// - Parameter system: the system message; nil for none of the user's, where many templates have their own.
  /// - Throws: `ChatTemplateError` if the model has no template, or one that cannot be read.
  public init(_ loaded: LoadedModel, system: String?, options: Options) throws {
    self.loaded = loaded
    self.options = options
    self.system = system
    template = try ChatTemplate(modelFolder: loaded.folder)
    generator = TextGenerator(loaded.model)
    reset()
  }

  /// Forgets all turns.
  public func reset() { messages = system.map { [["role": "system", "content": .string($0)]] } ?? [] }

  /// Answers a turn of the user; both then belong to the conversation, unless nothing came before the answer was
  /// interrupted.
  ///
  /// - Parameter show: is given the answer's text as it comes.
  /// - Throws: what keeps the turn from being answered; the conversation is then as it was.
  public func reply(to text: String, show: (String) -> Void) throws -> Ending {
    let user: JSONValue = ["role": "user", "content": .string(text)]
    let prompt = try promptIDs(messages + [user])
    let positions = loaded.model.configuration.maxPositions
    guard prompt.count < positions else {
      throw ServiceError(
        "the conversation has \(prompt.count) tokens with this turn, and the model \(positions) positions",
        remedy: "/reset begins a new one, or write less")
    }
    let room = min(options.maxTokens, positions - prompt.count)
    let (answer, ending) = try answer(prompt, maxTokens: room, show: show)
    if answer.isEmpty, ending == .interrupted { return ending }
    messages += [user, ["role": "assistant", "content": .string(answer)]]
    return ending == .maxTokens && room < options.maxTokens ? .contextFull(positions: positions) : ending
  }

  /// As transformers has it, nothing is added to what the template writes.
  private func promptIDs(_ messages: [JSONValue]) throws -> [Int32] {
    let text = try template.render(
      messages: messages, addGenerationPrompt: true, variables: options.variables, date: options.date)
    let ids = try loaded.tokenizer.encode(text, addSpecialTokens: false)
    try loaded.check(ids)
    return ids
  }

  private func answer(
    _ prompt: [Int32], maxTokens: Int, show: (String) -> Void
  ) throws -> (text: String, ending: Ending) {
    var sampling = options.sampling
    // A number for each turn, so that the same conversation has the same answers.
    sampling.text = UInt64(messages.count / 2)
    let watch = ComputationWatch()
    loaded.model.watch = watch
    interrupter.set(watch)
    defer {
      interrupter.set(nil)
      loaded.model.watch = nil
      lastPrompt = (prompt.count, generator.reusedTokens)
    }
    var stream = TextStream(tokenizer: loaded.tokenizer, after: prompt, stops: options.stops)
    var text = ""
    func take(_ piece: String) {
      text += piece
      if !piece.isEmpty { show(piece) }
    }
    var ending = Ending.complete
    do {
      let end = try generator.generate(
        prompt: prompt, maxTokens: maxTokens, sampling: sampling, endTokens: loaded.tokenizer.endTokenIDs
      ) { id in
        take(stream.append(id))
        return !stream.isStopped
      }
      if end == .maxTokens { ending = .maxTokens }
    } catch TensorError.cancelled {
      ending = .interrupted
    }
    take(stream.finish())
    return (text, ending)
  }
}

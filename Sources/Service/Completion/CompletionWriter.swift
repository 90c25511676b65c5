import ChatTemplate
import Files
import Foundation
import JSON
import LanguageModel
import Synchronization

/// Writes texts for a service, in a process of its own: requests come as lines of JSON on standard input, and go out as
/// lines on standard output. It ends with its standard input, which the kernel closes even when the service is killed.
public final class CompletionWriter {
  /// A model in memory, with an adapter or without.
  private struct Loaded {
    let mark: String
    let model: LoadedModel
    let generator: TextGenerator
    let template: Result<ChatTemplate, any Error>
  }

  /// The one used last is the last.
  private var loaded: [Loaded] = []
  /// A model and the same with an adapter are compared in turns; their weights are mapped once.
  private static let most = 2
  private let threads: Int?
  /// Seconds that each token takes longer.
  private let delay: Double

  /// - Parameter threads: nil for one a core
  public init(threads: Int?, failpoints: Failpoints) {
    self.threads = threads
    delay = failpoints.number(.textDelay) ?? 0
  }

  /// Answers until standard input ends.
  public func run() {
    // Whatever else this machine computes comes first; threads begun from here on inherit it.
    _ = nice(19)
    let lines = InputLines()
    while true { lines.next { answer($0) } }
  }

  private func answer(_ line: String) {
    guard let json = try? JSONValue(parsing: line), let request = CompletionRequest(json: json) else {
      return say(.refused(reason: "the request is none", remedy: nil))
    }
    do { try write(request) } catch let error as ServiceError {
      say(.refused(reason: error.reason, remedy: error.remedy))
    } catch { say(.refused(reason: "\(error)", remedy: nil)) }
  }

  private func write(_ request: CompletionRequest) throws {
    let loaded = try loaded(request)
    let prompt = try Self.prompt(request.input, loaded)
    let positions = loaded.model.model.configuration.maxPositions
    guard prompt.count < positions else {
      throw ServiceError(
        "the prompt has \(prompt.count) tokens, and the model \(positions) positions", remedy: "write less")
    }
    say(.begun(promptTokens: prompt.count))
    var stream = TextStream(tokenizer: loaded.model.tokenizer, after: prompt, stops: request.stops)
    var tokens = 0
    let end = try loaded.generator.generate(
      prompt: prompt, maxTokens: min(request.maxTokens, positions - prompt.count), sampling: request.sampling,
      endTokens: loaded.model.tokenizer.endTokenIDs
    ) { id in
      tokens += 1
      if delay > 0 { usleep(UInt32(delay * 1e6)) }
      say(text: stream.append(id))
      return !stream.isStopped
    }
    say(text: stream.finish())
    say(.ended(isComplete: end != .maxTokens, tokens: tokens))
  }

  private static func prompt(_ input: CompletionRequest.Input, _ loaded: Loaded) throws -> [Int32] {
    switch input {
    case .prompt(let text): return try loaded.model.tokens(of: text, option: "prompt")
    case .messages(let messages):
      // As transformers has it, nothing is added to what the template writes.
      let text = try loaded.template.get().render(
        messages: messages, addGenerationPrompt: true, date: today())
      let ids = try loaded.model.tokenizer.encode(text, addSpecialTokens: false)
      try loaded.model.check(ids)
      return ids
    }
  }

  private static func today() throws -> TemplateDate {
    var (now, parts) = (time(nil), tm())
    gmtime_r(&now, &parts)
    guard
      let date = TemplateDate(
        year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday))
    else { throw ServiceError("the clock shows no date that a template can show", remedy: "set the clock") }
    return date
  }

  // MARK: - Models

  private func loaded(_ request: CompletionRequest) throws -> Loaded {
    let mark = Self.mark(request)
    if let at = loaded.firstIndex(where: { $0.mark == mark }) {
      loaded.append(loaded.remove(at: at))
    } else {
      if loaded.count >= Self.most { loaded.removeFirst() }
      let model = try LoadedModel(folder: request.model, adapter: request.adapter, threads: threads)
      loaded.append(
        Loaded(
          mark: mark, model: model, generator: TextGenerator(model.model),
          template: Result { try ChatTemplate(modelFolder: request.model) }))
    }
    return loaded[loaded.count - 1]
  }

  /// Changes when the files do: the best checkpoint of a run at work is another one after a while.
  private static func mark(_ request: CompletionRequest) -> String {
    let adapter = request.adapter.map { folder in
      let files = ["adapters.safetensors", "adapter_model.safetensors", "adapter_config.json"]
      return ([folder] + files.map { "\(FileSystem.modificationTime(folder + "/" + $0) ?? 0)" }).joined(
        separator: "\n")
    }
    let config = FileSystem.modificationTime(request.model + "/config.json") ?? 0
    return "\(request.model)\n\(config)\n\(adapter ?? "")"
  }

  // MARK: - Output

  private func say(text: String) {
    if !text.isEmpty { say(.text(text)) }
  }

  private func say(_ event: CompletionEvent) {
    let bytes = event.json.bytes() + [UInt8(ascii: "\n")]
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes { write($0) }
      if count < 0, errno == EINTR { continue }
      // Nobody is there to read it.
      guard count > 0 else { _exit(0) }
      sent += count
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer) -> Int {
    Foundation.write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
  }
}

/// The lines of standard input, read by a thread of their own: its end ends this process at once, whatever it computes.
private final class InputLines: Sendable {
  private let lines = Mutex<[String]>([])
  private let has = DispatchSemaphore(value: 0)

  init() {
    let thread = Thread { [self] in
      while let line = readLine() {
        lines.withLock { $0.append(line) }
        has.signal()
      }
      _exit(0)
    }
    thread.name = "requests"
    thread.start()
  }

  func next(_ take: (String) -> Void) {
    has.wait()
    take(lines.withLock { $0.removeFirst() })
  }
}

import ArgumentParser
import ChatTemplate
import Foundation
import JSON
import Service

struct ChatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a model through its chat template.",
    discussion: """
      A line is a turn. /reset forgets the conversation, /help says what else there is, /quit or Ctrl-D ends. Ctrl-C ends \
      the answer, and the conversation goes on. From a pipe, each line of standard input is a turn, and each answer is \
      written to standard output.

      Examples:
        nl-tool chat --model SmolLM2-135M-Instruct
        nl-tool chat --model Qwen3-0.6B --adapter runs/demo/checkpoints/best --system "Be brief." --temperature 0.7
        echo "What is a tide?" | nl-tool chat --model SmolLM2-135M-Instruct --max-tokens 50
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "What the model is told before the first turn.")
  var system: String?

  @Option(help: "How many tokens an answer has at most.")
  var maxTokens = 512

  @OptionGroup var sampling: SamplingFlags

  @OptionGroup var template: TemplateFlags

  func validate() throws {
    if !(1...1 << 20).contains(maxTokens) {
      throw ValidationError("--max-tokens must be from 1 to \(1 << 20)")
    }
  }

  func run() throws {
    // Without a template nothing else is worth waiting for.
    _ = try ChatTemplate(modelFolder: options.folder)
    var answers = ChatSession.Options(date: try template.shownDate)
    answers.maxTokens = maxTokens
    answers.sampling = sampling.options
    answers.stops = sampling.stop
    answers.variables = template.variables
    let session = try ChatSession(options.load(), system: system, options: answers)
    try ChatTerminal(session, isInteractive: isatty(0) == 1).run()
  }
}

/// The terminal's side of a conversation.
private struct ChatTerminal {
  private static let prompt = "> "
  private static let help = """
    A line is a turn of yours.
      /reset   forget the conversation
      /quit    end; Ctrl-D too
      /help    this text
    Ctrl-C ends the answer that is being written.
    """

  private let session: ChatSession
  private let isInteractive: Bool
  private let signals: SignalWatch

  init(_ session: ChatSession, isInteractive: Bool) {
    self.session = session
    self.isInteractive = isInteractive
    let interrupter = session.interrupter
    signals = SignalWatch { number in
      guard number == SIGINT else { return SignalWatch.end(number) }
      if interrupter.interrupt() { return }
      guard isInteractive else { return SignalWatch.end(number) }
      show("\n(Ctrl-D or /quit ends)\n" + Self.prompt)
    }
  }

  func run() throws {
    defer { signals.cancel() }
    if isInteractive { showNote("A line is a turn; /help says what else there is.") }
    while let line = nextLine() {
      switch line.trimmingCharacters(in: .whitespaces) {
      case "": continue
      case "/quit", "/exit": return
      case "/reset": session.reset()
      case "/help": showNote(Self.help)
      case let text where Self.isCommand(text): showNote("There is no command \(text). \(Self.help)")
      default: try answer(line)
      }
    }
    if isInteractive { print() }
  }

  private func nextLine() -> String? {
    if isInteractive { show(Self.prompt) }
    return readLine()
  }

  /// A word after a slash, and not a path or a sentence that begins with one.
  private static func isCommand(_ text: String) -> Bool {
    text.hasPrefix("/") && text.dropFirst().allSatisfy { $0.isLetter && $0.isASCII }
  }

  /// A turn that cannot be answered ends a conversation from a pipe; on a terminal the user may try another.
  private func answer(_ line: String) throws {
    do {
      let ending = try session.reply(to: line, show: show)
      print()
      if let note = note(on: ending) { showNote(note) }
    } catch {
      guard isInteractive else { throw error }
      showNote("error: \(error)")
    }
  }

  private func note(on ending: ChatSession.Ending) -> String? {
    switch ending {
    case .complete: nil
    case .maxTokens: "(cut after \(session.options.maxTokens) tokens; --max-tokens gives more)"
    case .contextFull(let positions):
      "(cut: the conversation fills the model's \(positions) positions; /reset begins a new one)"
    case .interrupted: "(interrupted)"
    }
  }
}

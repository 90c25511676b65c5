import ArgumentParser
import ChatTemplate
import Files
import Foundation
import JSON
import Service

struct RenderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "render",
    abstract: "Show a conversation as a model's chat template writes it.",
    discussion: """
      The file holds JSON: a list of messages, or an object with "messages" and, if there are any, "tools" and \
      "documents". Of a file with such an object a line, as training reads it, --row takes one.

      With --trained it prints, instead of the text, what is trained on of it: a JSON object a line for each turn of \
      the assistant, up to the end-of-turn token that training cuts it at.

      Examples:
        nl-tool render --model SmolLM2-135M-Instruct --messages chat.json --generation-prompt
        nl-tool render --model Qwen3-0.6B --messages train.jsonl --row 3 --set enable_thinking=false
        echo '[{"role": "user", "content": "Hi"}]' | nl-tool render --model Qwen3-0.6B --messages -
      """)

  @Option(help: "A model folder with a chat template.")
  var model: String

  @Option(help: "A file with the conversation; - is standard input.")
  var messages: String

  @Option(help: "Which line of a file with a conversation a line, from 1.")
  var row: Int?

  @Flag(help: "End the text with what makes the model answer.")
  var generationPrompt = false

  @Flag(help: "Print the assistant's turns with their places in the text, in bytes.")
  var trained = false

  @OptionGroup var template: TemplateFlags

  func validate() throws {
    if let row, row < 1 { throw ValidationError("--row counts from 1") }
    if trained, generationPrompt {
      throw ValidationError("--trained shows a conversation as it is trained on, without --generation-prompt")
    }
  }

  func run() throws {
    let (variables, shownDate) = (template.variables, try template.shownDate)
    let template = try ChatTemplate(modelFolder: FileSystem.expandingTilde(model))
    let conversation = try conversation()
    guard let messages = (conversation.array ?? conversation["messages"]?.array) else {
      throw ServiceError(
        "\(shownFile): \(conversation.kind) without a list of messages",
        remedy: #"write [{"role": "user", "content": "Hi"}], or an object with "messages""#)
    }
    guard trained else {
      let text = try template.render(
        messages: messages, tools: conversation["tools"], documents: conversation["documents"],
        addGenerationPrompt: generationPrompt, variables: variables, date: shownDate)
      return FileHandle.standardOutput.write(Data(text.utf8))
    }
    let rendered = try template.renderForTraining(
      messages: messages, tools: conversation["tools"], documents: conversation["documents"],
      variables: variables, date: shownDate)
    let bytes = Array(rendered.text.utf8)
    for turn in rendered.turns { print(Self.line(for: turn, in: bytes).text) }
  }

  private static func line(for turn: RenderedConversation.Turn, in bytes: [UInt8]) -> JSONValue {
    guard let span = turn.span else {
      return ["message": .number(turn.message), "skipped": .string(turn.reason ?? "")]
    }
    return [
      "message": .number(turn.message), "bytes": .numbers([span.lowerBound, span.upperBound]),
      "text": .string(String(decoding: bytes[span], as: UTF8.self)),
    ]
  }

  private var shownFile: String { messages == "-" ? "standard input" : messages }

  private func conversation() throws -> JSONValue {
    let bytes =
      messages == "-"
      ? Array(FileHandle.standardInput.readDataToEndOfFile())
      : try AtomicFile.read(FileSystem.expandingTilde(messages))
    guard let row else {
      do { return try JSONValue(parsing: bytes) } catch {
        throw ServiceError(
          "\(shownFile): \(error)", remedy: "--row N takes one line of a file with a conversation a line")
      }
    }
    let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    guard row <= lines.count, !lines[row - 1].isEmpty else {
      throw ServiceError("\(shownFile) has no line \(row)", remedy: "it has \(lines.count { !$0.isEmpty })")
    }
    do { return try JSONValue(parsing: lines[row - 1]) } catch {
      throw ServiceError("\(shownFile): line \(row): \(error.reason)")
    }
  }
}

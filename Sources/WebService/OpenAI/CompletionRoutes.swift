import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Service

/// `/v1/chat/completions` and `/v1/completions`: texts by a base model or an adapter, one at a time, in a process beside
/// this one.
struct CompletionRoutes: Sendable {
  let catalog: ModelCatalog
  let process: CompletionProcess

  var routes: [Route] {
    [
      Route(.post, "/v1/chat/completions") { asked in try await answer(asked, .chat) },
      Route(.post, "/v1/completions") { asked in try await answer(asked, .text) },
    ]
  }

  private func answer(_ asked: Asked, _ kind: CompletionBody.Kind) async throws -> Response {
    let members = try await asked.object()
    let (body, text) = try await Disk.run {
      let body = try CompletionBody(members, kind, catalog)
      return (body, try process.begin(body.request))
    }
    // Whoever has gone needs no text, and others wait for theirs.
    asked.context.channel.closeFuture.whenComplete { _ in text.cancel() }
    let promptTokens: Int
    // A request that cannot be met is refused as such, and not in the middle of a stream.
    do { promptTokens = try await Self.beginning(text) } catch {
      text.cancel()
      throw error
    }
    let answer = CompletionAnswer(body)
    guard body.isStreamed else { return try await Self.whole(text, answer, promptTokens) }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream"],
      body: ResponseBody { writer in
        defer { text.cancel() }
        try await Self.stream(text, answer, promptTokens, body.includesUsage, to: &writer)
        try await writer.finish(nil)
      })
  }

  /// - Returns: how many tokens the prompt has
  private static func beginning(_ text: CompletionProcess.Text) async throws -> Int {
    for await event in text.events {
      if case .begun(let tokens) = event { return tokens }
      try check(event)
    }
    throw broken("the text was given up")
  }

  private static func whole(
    _ text: CompletionProcess.Text, _ answer: CompletionAnswer, _ promptTokens: Int
  ) async throws -> Response {
    defer { text.cancel() }
    var written = ""
    for await event in text.events {
      try check(event)
      if case .text(let piece) = event { written += piece }
      guard case .ended(let isComplete, let tokens) = event else { continue }
      return Answer.json(
        answer.whole(
          written, reason: CompletionAnswer.reason(isComplete: isComplete), promptTokens: promptTokens,
          tokens: tokens))
    }
    throw broken("the text was given up")
  }

  private static func stream(
    _ text: CompletionProcess.Text, _ answer: CompletionAnswer, _ promptTokens: Int, _ includesUsage: Bool,
    to writer: inout any ResponseBodyWriter
  ) async throws {
    if let beginning = answer.beginning { try await send(beginning, to: &writer) }
    for await event in text.events {
      switch event {
      case .begun: continue
      case .text(let piece): try await send(answer.piece(piece), to: &writer)
      case .ended(let isComplete, let tokens):
        try await send(answer.end(reason: CompletionAnswer.reason(isComplete: isComplete)), to: &writer)
        if includesUsage {
          try await send(answer.usage(promptTokens: promptTokens, tokens: tokens), to: &writer)
        }
        try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
      case .refused, .broken:
        // The status has been said: what is wrong comes as an event, which clients raise.
        do { try check(event) } catch { try await send(error.json, to: &writer) }
      }
    }
  }

  private static func send(_ json: JSONValue, to writer: inout any ResponseBodyWriter) async throws {
    try await writer.write(ByteBuffer(string: "data: \(json.text)\n\n"))
  }

  /// - Throws: what the last event of a text that was not written has to say.
  private static func check(_ event: CompletionEvent) throws(OpenAIError) {
    switch event {
    case .refused(let reason, let remedy):
      throw OpenAIError(.badRequest, remedy.map { "\(reason) (\($0))" } ?? reason)
    case .broken(let reason): throw broken(reason)
    case .begun, .text, .ended: break
    }
  }

  private static func broken(_ reason: String) -> OpenAIError { OpenAIError(.serviceUnavailable, reason) }
}

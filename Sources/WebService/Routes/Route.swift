import Dispatch
import Foundation
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Service

/// One thing that the service answers: the table of all is what the OpenAPI file is held to.
struct Route: Sendable {
  let method: HTTPRequest.Method
  /// As OpenAPI writes it: `/nested-learning/experiments/{name}`.
  let path: String
  /// As the router takes it, where that is something else, as for a path below which there are more.
  let pattern: String
  let answer: @Sendable (Asked) async throws -> Response

  init(
    _ method: HTTPRequest.Method, _ path: String, pattern: String? = nil,
    _ answer: @escaping @Sendable (Asked) async throws -> Response
  ) {
    self.method = method
    self.path = path
    self.pattern = pattern ?? path
    self.answer = answer
  }

  /// One that is answered with JSON, made where that, and reading from the disk, keeps nobody else waiting.
  static func json(
    _ method: HTTPRequest.Method, _ path: String, _ make: @escaping @Sendable (Asked) throws -> JSONValue
  ) -> Route {
    Route(method, path) { asked in
      Answer.bytes(try await Disk.run { try make(asked).bytes() }, type: Answer.jsonType)
    }
  }

  /// One that is answered with JSON that serves many who ask.
  ///
  /// - Parameters:
  ///   - key: of what is asked for, which the target of the request alone decides
  ///   - changes: of the desk
  static func cached(
    _ path: String, in cache: AnswerCache, changes: @escaping @Sendable () -> UInt64,
    key: @escaping @Sendable (Asked) throws -> String,
    make: @escaping @Sendable (Asked) throws -> ByteBuffer
  ) -> Route {
    Route(.get, path) { asked in
      let key = try key(asked)
      if let bytes = cache.known(key, changes: changes()) {
        return Answer.buffer(bytes, type: Answer.jsonType)
      }
      let bytes = try await Disk.run { try make(asked) }
      if let target = asked.request.head.path { cache.remember(target, asksFor: key) }
      return Answer.buffer(bytes, type: Answer.jsonType)
    }
  }

  /// One that takes a JSON object.
  static func post(
    _ path: String, _ make: @escaping @Sendable (Asked, JSONObject) throws -> JSONValue
  ) -> Route {
    Route(.post, path) { asked in
      let body = try await asked.object()
      return Answer.bytes(try await Disk.run { try make(asked, body).bytes() }, type: Answer.jsonType)
    }
  }
}

/// A request with what its handler needs of it.
struct Asked: Sendable {
  let request: Request
  let context: WebContext
  /// Bytes of a body that is JSON at most.
  private static let mostBytes = 1 << 18

  func query(_ name: String) -> String? { request.uri.queryParameters.get(name) }

  func parameter(_ name: String) -> String? {
    context.parameters.get(name).flatMap { $0.removingPercentEncoding }
  }

  /// What stands where the pattern of the route has `**`.
  var rest: String {
    let raw = context.parameters.getCatchAll().joined(separator: "/")
    return raw.removingPercentEncoding ?? raw
  }

  /// A whole number of the query.
  ///
  /// - Throws: `RunRequestError` if it is there and is none, or not within the range.
  func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let text = query(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw RunRequestError(
        .invalid, "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)",
        field: name)
    }
    return number
  }

  /// The body as an object; an empty body is an empty object. What a page of another site can send without being asked
  /// has another type, and is not read.
  func object() async throws -> JSONObject {
    let bytes: ByteBuffer
    do { bytes = try await request.body.collect(upTo: Self.mostBytes) } catch is NIOTooManyBytesError {
      throw RunRequestError(.tooLarge, "the body has more than \(Self.mostBytes) bytes")
    }
    guard bytes.readableBytes > 0 else { return JSONObject() }
    guard (request.headers[.contentType] ?? "").lowercased().hasPrefix("application/json") else {
      throw Refusal(
        .unsupportedMediaType, "the body is not JSON by its Content-Type",
        hint: "send Content-Type: application/json")
    }
    let value: JSONValue
    do { value = try JSONValue(parsing: bytes.readableBytesView) } catch {
      throw Refusal(.badRequest, "the body is not JSON: \(error)")
    }
    guard let object = value.object else {
      throw Refusal(.badRequest, "the body must be an object, not \(value.kind)")
    }
    return object
  }
}

/// Where the disk is read for requests, beside the thread that answers.
enum Disk {
  private static let queue = DispatchQueue(label: "web files", attributes: .concurrent)

  static func start(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

  static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: body)) }
    }
  }
}

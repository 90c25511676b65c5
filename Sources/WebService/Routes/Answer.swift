import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import NestedLearning
import Service

/// What requests are answered with.
enum Answer {
  static let jsonType = "application/json; charset=utf-8"

  /// Those of an answer of a type, with those that all answers have.
  static func headers(type: String) -> HTTPFields {
    var headers: HTTPFields = [.contentType: type]
    for (name, value) in AccessRules.headers { headers[name] = value }
    return headers
  }

  static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> Response {
    bytes(value.bytes(), type: jsonType, status: status)
  }

  static func bytes(_ bytes: [UInt8], type: String, status: HTTPResponse.Status = .ok) -> Response {
    buffer(ByteBuffer(bytes: bytes), type: type, status: status)
  }

  /// Bytes that may serve for several answers.
  static func buffer(_ bytes: ByteBuffer, type: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: bytes))
  }

  /// The same, and soon after it the connection is closed, so that what more of the request comes is not read.
  static func closing(_ response: Response, _ channel: any Channel) -> Response {
    var response = response
    let body = response.body
    response.headers[.connection] = "close"
    response.body = ResponseBody(contentLength: body.contentLength) { writer in
      try await body.write(writer)
      // Closed at once, with bytes that nobody has read, the answer would not arrive.
      channel.eventLoop.scheduleTask(in: .milliseconds(500)) { channel.close(promise: nil) }
    }
    return response
  }

  /// `{error, field, hint}`.
  static func error(_ error: any Error) -> Response {
    switch error {
    case let error as Refusal: made(error.status, error.reason, field: nil, hint: error.hint)
    case let error as RunRequestError:
      made(error.kind.status, error.reason, field: error.field, hint: error.hint)
    case let error as ConfigError:
      made(.unprocessableContent, error.reason, field: error.key, hint: error.remedy)
    case let error as ServiceError: made(.unprocessableContent, error.reason, field: nil, hint: error.remedy)
    case let error as HTTPError:
      made(error.status, error.body ?? error.status.reasonPhrase, field: nil, hint: nil)
    default: made(.unprocessableContent, "\(error)", field: nil, hint: nil)
    }
  }

  private static func made(_ status: HTTPResponse.Status, _ reason: String, field: String?, hint: String?)
    -> Response
  {
    var response = json(
      [
        "error": .string(reason), "field": field.map { .string($0) } ?? nil,
        "hint": hint.map { .string($0) } ?? nil,
      ], status: status)
    if status == .tooManyRequests { response.headers[.retryAfter] = "1" }
    return response
  }
}

extension RunRequestError.Kind {
  var status: HTTPResponse.Status {
    switch self {
    case .invalid: .unprocessableContent
    case .conflict: .conflict
    case .unknown: .notFound
    case .tooMany: .tooManyRequests
    case .tooLarge: .contentTooLarge
    case .unavailable: .serviceUnavailable
    }
  }
}

import HTTPTypes
import Hummingbird
import JSON
import NestedLearning
import Service

/// An error as OpenAI's API has it: `{"error": {message, type, param, code}}`.
struct OpenAIError: Error {
  let status: HTTPResponse.Status
  let message: String
  /// The field of the request that is to blame.
  let param: String?
  private let givenCode: String?

  init(_ status: HTTPResponse.Status, _ message: String, param: String? = nil, code: String? = nil) {
    (self.status, self.message, self.param, givenCode) = (status, message, param, code)
  }

  /// A field of the request is wrong.
  static func field(_ param: String, _ message: String, code: String? = nil) -> OpenAIError {
    OpenAIError(.badRequest, message, param: param, code: code)
  }

  init(_ error: any Error) {
    switch error {
    case let error as OpenAIError: self = error
    case let error as Refusal:
      self.init(error.status, Self.text(error.reason, error.hint))
    case let error as RunRequestError:
      // What is wrong in a request has 400 here.
      let status = error.kind == .invalid ? .badRequest : error.kind.status
      self.init(status, Self.text(error.reason, error.hint), param: error.field)
    case let error as ConfigError:
      self.init(.badRequest, Self.text(error.reason, error.remedy), param: error.key)
    case let error as ServiceError: self.init(.badRequest, Self.text(error.reason, error.remedy))
    case let error as HTTPError: self.init(error.status, error.body ?? error.status.reasonPhrase)
    default: self.init(.badRequest, "\(error)")
    }
  }

  private static func text(_ reason: String, _ hint: String?) -> String {
    hint.map { "\(reason) (\($0))" } ?? reason
  }

  private var type: String {
    switch status.code {
    case 401: "authentication_error"
    case 403, 421: "permission_error"
    case 429: "rate_limit_error"
    case 500...: "server_error"
    default: "invalid_request_error"
    }
  }

  private var code: String? {
    switch status.code {
    case 401: "invalid_api_key"
    case 404: "not_found"
    case 409: "conflict"
    case 413: "too_large"
    case 429: "rate_limit_exceeded"
    default: nil
    }
  }

  var json: JSONValue {
    [
      "error": [
        "message": .string(message), "type": .string(type), "param": param.map { .string($0) } ?? nil,
        "code": (givenCode ?? code).map { .string($0) } ?? nil,
      ]
    ]
  }

  var response: Response {
    var response = Answer.json(json, status: status)
    if status == .tooManyRequests { response.headers[.retryAfter] = "1" }
    return response
  }
}

extension Answer {
  /// In the form that the path's clients read.
  static func error(_ error: any Error, path: String) -> Response {
    path.hasPrefix("/v1/") ? OpenAIError(error).response : Answer.error(error)
  }
}

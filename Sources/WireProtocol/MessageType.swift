/// The type numbers of the protocol. Numbers are never used again for something else; those that this version
/// reserves are refused.
public enum MessageType: UInt8, Sendable, CaseIterable {
  // Join.
  case hello = 1
  case welcome = 2
  case reject = 3
  case probe = 4
  case probeResult = 5
  case ready = 6
  case enterRun = 7
  case leaveRun = 8
  // Model and parameters.
  case modelOffer = 16
  case modelCredit = 17
  case modelChunk = 18
  case parametersOffer = 20
  case parametersCredit = 21
  case parametersChunk = 22
  case parametersAck = 23
  case parameters = 24
  case window = 25
  // Work.
  case assign = 32
  case accept = 33
  case decline = 34
  case leaseRenew = 35
  case cancel = 36
  case cancelled = 37
  // Results.
  case resultOffer = 48
  case resultCredit = 49
  case resultChunk = 50
  case resultAck = 51
  case result = 52
  // Lifecycle.
  case ping = 64
  case pong = 65
  case drain = 66
  case drained = 67
  case goodbye = 68
  case error = 69
  // For whoever watches.
  case status = 70
  case statusReply = 71
  case control = 72

  /// Whether the payload is a piece of something, instead of objects.
  var hasPiece: Bool { self == .modelChunk || self == .parametersChunk || self == .resultChunk }

  /// The direction of a transfer that this belongs to.
  var transferKind: TransferKind {
    switch self {
    case .resultOffer, .resultCredit, .resultChunk, .resultAck: .result
    default: .parameters
    }
  }

  /// Whether the body describes objects that are not in this message.
  var isOffer: Bool { self == .parametersOffer || self == .resultOffer }

  /// The name in capitals with underscores, as the protocol document and error messages have it.
  public var name: String {
    switch self {
    case .hello: "HELLO"
    case .welcome: "WELCOME"
    case .reject: "REJECT"
    case .probe: "PROBE"
    case .probeResult: "PROBE_RESULT"
    case .ready: "READY"
    case .enterRun: "ENTER_RUN"
    case .leaveRun: "LEAVE_RUN"
    case .modelOffer: "MODEL_OFFER"
    case .modelCredit: "MODEL_CREDIT"
    case .modelChunk: "MODEL_CHUNK"
    case .parametersOffer: "PARAMS_OFFER"
    case .parametersCredit: "PARAMS_CREDIT"
    case .parametersChunk: "PARAMS_CHUNK"
    case .parametersAck: "PARAMS_ACK"
    case .parameters: "PARAMETERS"
    case .window: "WINDOW"
    case .assign: "ASSIGN"
    case .accept: "ACCEPT"
    case .decline: "DECLINE"
    case .leaseRenew: "LEASE_RENEW"
    case .cancel: "CANCEL"
    case .cancelled: "CANCELLED"
    case .resultOffer: "RESULT_OFFER"
    case .resultCredit: "RESULT_CREDIT"
    case .resultChunk: "RESULT_CHUNK"
    case .resultAck: "RESULT_ACK"
    case .result: "RESULT"
    case .ping: "PING"
    case .pong: "PONG"
    case .drain: "DRAIN"
    case .drained: "DRAINED"
    case .goodbye: "GOODBYE"
    case .error: "ERROR"
    case .status: "STATUS"
    case .statusReply: "STATUS_REPLY"
    case .control: "CONTROL"
    }
  }
}

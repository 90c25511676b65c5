import JSON

/// Everything that coordinator and worker say to each other. `PROTOCOL.md` gives the meaning of each message.
public enum Message: Sendable, Equatable {
  /// Worker: I am here, and this is what I am.
  case hello(Hello)
  /// Coordinator: you are admitted.
  case welcome(Welcome)
  /// Coordinator: load this model, and work on this run.
  case enterRun(EnterRun)
  /// Coordinator: there is nothing more for you to do in the run that you are in.
  case leaveRun
  /// Coordinator: you are not (or no longer) admitted.
  case reject(Reject)
  /// Worker: the model is loaded.
  case ready(Ready)
  /// Coordinator: a tier's parameters at a version.
  case parameters(ParametersMessage)
  /// Coordinator: chains of windows, to go on from.
  case window(WindowMessage)
  /// Coordinator: compute this tier shard.
  case assign(AssignMessage)
  /// Coordinator: compute this, so that I see whether your bits are mine.
  case probe(Probe)
  /// Worker: what it came to.
  case probeResult(ProbeResult)
  /// Worker: I compute this attempt.
  case accept(Accept)
  /// Worker: I cannot compute this attempt.
  case decline(Decline)
  /// Worker: I am still at it, and so far.
  case leaseRenew(LeaseRenew)
  /// Coordinator: this attempt is not needed any more.
  case cancel(Cancel)
  /// Worker: I have stopped it.
  case cancelled(Cancelled)
  /// Worker: what a tier shard came to.
  case result(ResultMessage)
  /// Coordinator: what became of a result.
  case resultAck(ResultAck)
  /// Worker: are you there?
  case ping
  /// Coordinator: I am.
  case pong
  /// Coordinator: nothing more will come; leave.
  case drain
  /// Worker: I have nothing left to send, and leave.
  case drained
  /// Worker: I leave of my own accord.
  case goodbye
  /// Either: what was asked for could not be done.
  case error(ErrorMessage)
  /// Either: a part of the transfer of a large message. The transport deals with these by itself; whoever reads
  /// messages from it needs them only as signs of life.
  case transfer(TransferMessage)
  /// Either: the base model's files.
  case model(ModelMessage)
  /// Anyone who may connect: how does a run stand? Needs no session.
  case status(StatusRequest)
  /// Whoever is on the coordinator's machine: do this with a run.
  case control(Control)
  /// Coordinator: so it stands.
  case statusReply(StatusReply)

  public var type: MessageType {
    switch self {
    case .hello: .hello
    case .welcome: .welcome
    case .reject: .reject
    case .ready: .ready
    case .enterRun: .enterRun
    case .leaveRun: .leaveRun
    case .parameters: .parameters
    case .window: .window
    case .assign: .assign
    case .probe: .probe
    case .probeResult: .probeResult
    case .accept: .accept
    case .decline: .decline
    case .leaseRenew: .leaseRenew
    case .cancel: .cancel
    case .cancelled: .cancelled
    case .result: .result
    case .resultAck: .resultAck
    case .ping: .ping
    case .pong: .pong
    case .drain: .drain
    case .drained: .drained
    case .goodbye: .goodbye
    case .error: .error
    case .transfer(let message): message.type
    case .model(let message): message.type
    case .status: .status
    case .control: .control
    case .statusReply: .statusReply
    }
  }

  private var body: (any MessageBody)? {
    switch self {
    case .hello(let body): body
    case .welcome(let body): body
    case .reject(let body): body
    case .ready(let body): body
    case .enterRun(let body): body
    case .status(let body): body
    case .control(let body): body
    case .parameters(let body): body
    case .window(let body): body
    case .assign(let body): body
    case .probe(let body): body
    case .probeResult(let body): body
    case .accept(let body): body
    case .decline(let body): body
    case .leaseRenew(let body): body
    case .cancel(let body): body
    case .cancelled(let body): body
    case .result(let body): body
    case .resultAck(let body): body
    case .error(let body): body
    case .statusReply(let body): body
    case .transfer(let message): message.body
    case .model(let message): message.body
    case .ping, .pong, .drain, .drained, .goodbye, .leaveRun: nil
    }
  }

  /// The control body's fields, and the objects, in the order in which they are sent.
  func parts() -> (fields: [JSONObject.Member], objects: [WireObject]) {
    guard let body else { return ([], []) }
    var writer = BodyWriter()
    body.write(to: &writer)
    return (writer.fields, body.objects)
  }

  /// The piece of something that follows the body, in place of objects.
  var piece: WireSlice? {
    switch self {
    case .transfer(let message):
      if case .chunk(let chunk) = message.content { chunk.payload } else { nil }
    case .model(.chunk(let chunk)): chunk.payload
    default: nil
    }
  }

  init(
    type: MessageType, fields: JSONObject, objects: [WireObject], piece: WireSlice? = nil,
    limits: WireLimits = WireLimits()
  ) throws(ProtocolError) {
    var reader = BodyReader(type: type, fields: fields, objects: objects, piece: piece, limits: limits)
    switch type {
    case .hello: self = .hello(try Hello(from: &reader))
    case .welcome: self = .welcome(try Welcome(from: &reader))
    case .reject: self = .reject(try Reject(from: &reader))
    case .ready: self = .ready(try Ready(from: &reader))
    case .enterRun: self = .enterRun(try EnterRun(from: &reader))
    case .leaveRun: self = .leaveRun
    case .parameters: self = .parameters(try ParametersMessage(from: &reader))
    case .window: self = .window(try WindowMessage(from: &reader))
    case .assign: self = .assign(try AssignMessage(from: &reader))
    case .probe: self = .probe(try Probe(from: &reader))
    case .probeResult: self = .probeResult(try ProbeResult(from: &reader))
    case .accept: self = .accept(try Accept(from: &reader))
    case .decline: self = .decline(try Decline(from: &reader))
    case .leaseRenew: self = .leaseRenew(try LeaseRenew(from: &reader))
    case .cancel: self = .cancel(try Cancel(from: &reader))
    case .cancelled: self = .cancelled(try Cancelled(from: &reader))
    case .result: self = .result(try ResultMessage(from: &reader))
    case .resultAck:
      self =
        reader.optional("transfer") == nil
        ? .resultAck(try ResultAck(from: &reader))
        : .transfer(TransferMessage(.result, .acknowledgement(try TransferAck(from: &reader))))
    case .ping: self = .ping
    case .pong: self = .pong
    case .drain: self = .drain
    case .drained: self = .drained
    case .goodbye: self = .goodbye
    case .error: self = .error(try ErrorMessage(from: &reader))
    case .status: self = .status(try StatusRequest(from: &reader))
    case .control: self = .control(try Control(from: &reader))
    case .statusReply: self = .statusReply(try StatusReply(from: &reader))
    case .modelOffer: self = .model(.offer(try ModelOffer(from: &reader)))
    case .modelCredit: self = .model(.credit(try ModelCredit(from: &reader)))
    case .modelChunk: self = .model(.chunk(try ModelChunk(from: &reader)))
    case .parametersOffer, .resultOffer:
      self = .transfer(TransferMessage(type.transferKind, .offer(try TransferOffer(from: &reader))))
    case .parametersCredit, .resultCredit:
      self = .transfer(TransferMessage(type.transferKind, .credit(try TransferCredit(from: &reader))))
    case .parametersChunk, .resultChunk:
      self = .transfer(TransferMessage(type.transferKind, .chunk(try TransferChunk(from: &reader))))
    case .parametersAck:
      self = .transfer(TransferMessage(.parameters, .acknowledgement(try TransferAck(from: &reader))))
    }
    try reader.finish()
  }
}

/// A message that has a control body.
protocol MessageBody: Sendable {
  func write(to writer: inout BodyWriter)
  /// Computes digests, so it is asked for once a message.
  var objects: [WireObject] { get }
  init(from reader: inout BodyReader) throws(ProtocolError)
}

extension MessageBody {
  var objects: [WireObject] { [] }
}

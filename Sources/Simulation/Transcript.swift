import Coordination
import WireProtocol

/// What happened: always as a fingerprint, on demand as text.
struct Transcript {
  private(set) var fingerprint = Fingerprint()
  private let write: ((String) -> Void)?

  init(write: ((String) -> Void)?) { self.write = write }

  func note(_ now: Instant, _ line: @autoclosure () -> String) {
    guard let write else { return }
    let time = now.description
    write(String(repeating: " ", count: max(0, 10 - time.utf8.count)) + time + "  " + line())
  }

  mutating func add(_ now: Instant, _ event: Simulation.Event) {
    fingerprint.add(Int(now.nanoseconds))
    switch event {
    case .toCoordinator(let packet): add(1, packet)
    case .toWorker(let packet): add(2, packet)
    case .bytesArrive(let route, _): fingerprint.add(1 << 23 + route)
    case .coordinatorTimer: fingerprint.add(3)
    case .runTimer: fingerprint.add(9)
    case .coordinatorWork: fingerprint.add(4)
    case .childEnded(_, let place): fingerprint.add(16 + place)
    case .coordinatorStart: fingerprint.add(5)
    case .workerTimer(let place, _, _): fingerprint.add(1 << 16 + place)
    case .workerDone(let place, _, _): fingerprint.add(1 << 17 + place)
    case .workerEvent(let place, _, _, _): fingerprint.add(1 << 18 + place)
    case .workerStart(let place): fingerprint.add(1 << 19 + place)
    case .reconnect(let place, _): fingerprint.add(1 << 20 + place)
    case .workerClose(let place, _): fingerprint.add(1 << 21 + place)
    case .keyAllowed: fingerprint.add(10)
    case .floodEnds(let route): fingerprint.add(1 << 22 + route)
    case .incident: fingerprint.add(6)
    case .planned: fingerprint.add(7)
    case .watch: fingerprint.add(8)
    }
  }

  /// The header ends with a checksum over itself, and holds the body's; chunks begin with theirs.
  private mutating func add(_ direction: Int, _ packet: Packet) {
    fingerprint.add(direction)
    fingerprint.add(packet.route)
    for frame in packet.frames.dropFirst() {
      let bytes = frame.count == 64 ? frame.suffix(8) : frame.prefix(16).suffix(4)
      for byte in bytes { fingerprint.add(Int(byte)) }
    }
  }
}

extension Message {
  /// One line for a transcript.
  var line: String {
    switch self {
    case .hello(let hello): "HELLO of process \(hello.processID), profile \(hello.numericProfile)"
    case .welcome(let welcome): "WELCOME as worker \(welcome.workerID)"
    case .reject(let reject): "REJECT \(reject.code.rawValue): \(reject.reason)"
    case .parameters(let parameters): "PARAMETERS of tier \(parameters.tier), version \(parameters.version)"
    case .assign(let assign):
      "ASSIGN attempt \(assign.attempt): \(assign.purpose.rawValue) \(assign.step), node (\(assign.level), "
        + "\(assign.index)), tiers \(assign.tiers)"
    case .result(let result): "RESULT of attempt \(result.attempt), loss \(result.lossSum)"
    case .resultAck(let ack): "RESULT_ACK of attempt \(ack.attempt): \(ack.outcome.rawValue)"
    case .error(let error):
      "ERROR \(error.code.rawValue)\(error.attempt.map { " of attempt \($0)" } ?? ""): \(error.reason)"
    default: type.name
    }
  }
}

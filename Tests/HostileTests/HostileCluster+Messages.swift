import Harness
import NestedLearning
import Transport
import WireProtocol

@testable import Coordination
@testable import Service

/// What comes, through the codec and the links, and what is sent.
extension HostileCluster {
  mutating func arrive(_ packet: Packet, isHostile: Bool) {
    if isHostile { counts.sent += 1 }
    guard let place = owners[packet.connection] else { return }
    if !packet.toCoordinator, workers[place].connection != packet.connection || workers[place].isGone {
      return
    }
    let decoded = Result { () throws(ProtocolError) in
      try MessageDecoder.decode(frames: packet.frames, limits: options.limits)
    }
    if isHostile, case .failure = decoded { counts.refusedByCodec += 1 }
    let before = (counts.refusedByLink, counts.reachedCore)
    if packet.toCoordinator {
      receive(decoded, packet.connection)
    } else {
      receive(decoded, at: place)
    }
    if !isHostile { (counts.refusedByLink, counts.reachedCore) = before }
  }

  mutating func receive(_ decoded: Result<(Envelope, Message), ProtocolError>, _ connection: Int) {
    let peer = peer(connection)
    var packets: [[[UInt8]]] = []
    var end = ends[connection] ?? .coordinator(options)
    var offers: [(envelope: Envelope, result: ResultSummary, isRefused: Bool)] = []
    do throws(ProtocolError) {
      let (envelope, message) = try decoded.get()
      let core = core
      do throws(ProtocolError) {
        let received = try end.receive(envelope, message, now: seconds) { envelope, message in
          let result = ResultSummary(message)
          let outcome = core.verdict(
            on: result, peer: peer, session: envelope.session, term: envelope.work.term)
          offers.append((envelope, result, outcome != nil))
          return outcome.map { .refuse($0) } ?? .hold
        } put: {
          packets.append($0)
          return true
        }
        ends[connection] = end
        put(packets, toCoordinator: false, connection)
        counts.reachedCore += 1
        take(received.envelope, received.message, of: peer, connection)
      } catch {
        counts.refusedByLink += 1
        throw error
      }
    } catch {
      put(packets, toCoordinator: false, connection)
      send(
        .reject(Reject(code: error.kind == .version ? .version : .unknownSession, reason: "refused")),
        connection, .none)
      ends[connection] = nil
      handle(.peerLost(peer: peer, reason: "\(error)"))
    }
    for (envelope, result, isRefused) in offers {
      let (session, term) = (envelope.session, envelope.work.term)
      handle(
        isRefused
          ? .result(peer: peer, session: session, term: term, result)
          : .offered(peer: peer, session: session, term: term, result))
    }
  }

  /// As `FleetService` does it.
  mutating func take(_ envelope: Envelope, _ message: Message, of peer: PeerID, _ connection: Int) {
    let session = envelope.session
    switch message {
    case .hello(let hello): handle(.hello(peer: peer, hello))
    case .ready(let ready): handle(.ready(peer: peer, session: session, ready))
    case .result(let result):
      run.incoming = result
      handle(.result(peer: peer, session: session, term: envelope.work.term, ResultSummary(result)))
      run.incoming = nil
    case .error(let error):
      handle(.workerError(peer: peer, session: session, attempt: error.attempt, reason: error.reason))
    case .goodbye, .drained: handle(.goodbye(peer: peer, session: session))
    case .ping:
      handle(.heard(peer: peer, session: session))
      send(.pong, connection, session)
    case .status, .pong: handle(.heard(peer: peer, session: session))
    case .transfer: handle(.moved(peer: peer, session: session, attempt: nil))
    case .model(.credit(let credit)):
      handle(
        .fetched(
          peer: peer, session: session, ModelFetchState(receivedBytes: credit.receivedBytes, totalBytes: 1000)
        ))
      guard core.isMember(peer, session: session), credit.piece?.byteCount != 0 else { return }
      var reader = shelf[connection] ?? ModelReader(session: session)
      if reader.ask(credit.piece, limit: 8 << 20) { _ = reader.take() }
      shelf[connection] = reader
    case .probeResult(let result): handle(.probed(peer: peer, session: session, sha256: result.sha256))
    case .accept(let accept): handle(.accepted(peer: peer, session: session, attempt: accept.attempt))
    case .decline(let decline):
      handle(.declined(peer: peer, session: session, attempt: decline.attempt, reason: decline.reason))
    case .leaseRenew(let renew):
      handle(.renewed(peer: peer, session: session, attempt: renew.attempt, progress: renew.progress))
      send(.pong, connection, session)
    case .cancelled(let cancelled):
      handle(.cancelled(peer: peer, session: session, attempt: cancelled.attempt))
    case .welcome, .enterRun, .leaveRun, .control, .reject, .probe, .parameters, .window, .assign, .cancel,
      .resultAck, .drain, .statusReply,
      .model:
      handle(.peerLost(peer: peer, reason: "sent what only a coordinator does"))
    }
  }

  mutating func receive(_ decoded: Result<(Envelope, Message), ProtocolError>, at place: Int) {
    var packets: [[[UInt8]]] = []
    let connection = workers[place].connection
    do throws(ProtocolError) {
      let (envelope, message) = try decoded.get()
      do throws(ProtocolError) {
        let received = try workers[place].end.receive(envelope, message, now: seconds) {
          packets.append($0)
          return true
        }
        put(packets, toCoordinator: true, connection)
        counts.reachedCore += 1
        tell(place, .message(received.envelope, received.message))
      } catch {
        counts.refusedByLink += 1
        throw error
      }
    } catch { tell(place, .connectionFailed(reason: "\(error)")) }
  }

  mutating func put(_ packets: [[[UInt8]]], toCoordinator: Bool, _ connection: Int) {
    for frames in packets {
      add(.packet(Packet(toCoordinator: toCoordinator, connection: connection, frames: frames)), after: 0.001)
    }
  }

  mutating func send(_ message: Message, _ connection: Int, _ session: SessionID) {
    var packets: [[[UInt8]]] = []
    var end = ends[connection] ?? .coordinator(options)
    do {
      try end.send(
        message, of: RunTerm(OneRun.number, term: core.settings.term), session: session, now: seconds
      ) {
        packets.append($0)
        return true
      }
      ends[connection] = end
    } catch { add(.disconnected(connection: connection), after: 0) }
    put(packets, toCoordinator: false, connection)
  }
}

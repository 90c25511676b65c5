import Coordination
import Service
import WireProtocol

/// The coordinator's side of it: what FleetService and ModelFileServer do.
extension Simulation {
  func serveModel(_ message: ModelMessage, _ envelope: Envelope, to peer: PeerID) {
    guard let coordinator, case .credit(let credit) = message else {
      return handle(.peerLost(peer: peer, reason: "sent \(message.type.name)"))
    }
    let driver = coordinator.drivers[envelope.work.run]
    let state = ModelFetchState(
      receivedBytes: credit.receivedBytes, totalBytes: driver?.run.toyModel?.offer.byteCount)
    handle(.reported(peer: peer, session: envelope.session, work: envelope.work, .fetched(state)))
    guard self.coordinator === coordinator, let driver,
      coordinator.fleet.isMember(peer, session: envelope.session),
      coordinator.fleet.run(of: peer) == driver.number, credit.piece?.byteCount != 0
    else { return }
    guard driver.modelTurns.ask(credit.piece, peer: peer, session: envelope.session) else {
      return handle(.peerLost(peer: peer, reason: "asked for more of the base model at once than it may"))
    }
    if !driver.isServing { readNext(of: driver) }
  }

  private func readNext(of driver: SimulatedDriver) {
    driver.isServing = true
    after("a part of a model is read", 0.0005) { simulation in
      switch driver.modelTurns.next() {
      case .nothing: driver.isServing = false
      case .later: simulation.readNext(of: driver)
      case .item(let item, let peer, let session):
        simulation.answer(item, peer, session, driver)
        simulation.readNext(of: driver)
      }
    }
  }

  private func answer(
    _ item: ModelReader.Item, _ peer: PeerID, _ session: SessionID, _ driver: SimulatedDriver
  ) {
    guard let coordinator, let model = driver.run.toyModel, coordinator.fleet.run(of: peer) == driver.number,
      coordinator.fleet.isMember(peer, session: session)
    else { return }
    guard case .chunk(let number, let offset, let count) = item else {
      _ = deliver(.model(.offer(model.offer)), to: peer, session: session, of: driver.work)
      return
    }
    guard model.files.indices.contains(number), offset < model.files[number].count else {
      return problem("byte \(offset) of file \(number) is asked for, which is not there")
    }
    outcome.count("chunks of models")
    let end = min(model.files[number].count, offset + count)
    let chunk = ModelChunk(
      file: number, offset: offset, payload: WireSlice(Array(model.files[number][offset..<end])))
    _ = deliver(.model(.chunk(chunk)), to: peer, session: session, of: driver.work)
  }
}

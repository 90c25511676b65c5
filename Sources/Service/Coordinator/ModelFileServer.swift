import Dispatch
import Files
import Foundation
import WireProtocol

/// Gives workers the base model's files, chunk by chunk, to each in its turn. Files are hashed and read on a queue of
/// its own; the socket's thread only asks, and sends what it is handed.
final class ModelFileServer: @unchecked Sendable {
  typealias Limits = ModelTurns.Limits
  typealias Deliver = @Sendable (PeerID, SessionID, Message) -> Void

  /// How long nothing is read when nobody takes more, in milliseconds.
  private static let pause = 5

  private let paths: [String]
  private let sha256: String
  private let deliver: Deliver
  private let queue = DispatchQueue(label: "model")
  private let lock = NSLock()
  private var turns: ModelTurns
  private var isServing = false
  /// Belongs to the queue.
  private var opened: (offer: ModelOffer, files: [ModelFile])?

  /// - Parameters:
  ///   - paths: the files that make the model what it is, and those needed to read them
  ///   - sha256: the model's digest, as ENTER_RUN has it
  ///   - deliver: takes the answers, on the queue
  init(paths: [String], sha256: String, limits: Limits = Limits(), deliver: @escaping Deliver) {
    self.paths = paths
    self.sha256 = sha256
    turns = ModelTurns(limits: limits)
    self.deliver = deliver
  }

  /// Answers a worker's credit later; false if it has asked for more than it may.
  func ask(_ credit: ModelCredit, peer: PeerID, session: SessionID) -> Bool {
    if credit.piece?.byteCount == 0 { return true }
    let (isAllowed, begins) = lock.withLock {
      guard turns.ask(credit.piece, peer: peer, session: session) else { return (false, false) }
      defer { isServing = true }
      return (true, !isServing)
    }
    if begins { queue.async { self.serve() } }
    return isAllowed
  }

  /// A worker that has gone gets no more, and what is on its way to it holds nobody up.
  func forget(_ peer: PeerID) {
    lock.withLock { turns.forget(peer) }
  }

  /// Answers until nothing is asked for; while nobody takes more, it looks again a little later.
  private func serve() {
    while true {
      switch next() {
      case .nothing: return
      case .later: return queue.asyncAfter(deadline: .now() + .milliseconds(Self.pause)) { self.serve() }
      case .item(let item, let peer, let session): answer(item, peer, session)
      }
    }
  }

  private func next() -> ModelTurns.Next {
    lock.withLock {
      let next = turns.next()
      if case .nothing = next { isServing = false } else { isServing = true }
      return next
    }
  }

  private func answer(_ item: ModelReader.Item, _ peer: PeerID, _ session: SessionID) {
    do {
      let (offer, files) = try open()
      guard case .chunk(let number, let offset, let byteCount) = item else {
        return deliver(peer, session, .model(.offer(offer)))
      }
      guard files.indices.contains(number), offset < files[number].byteCount else {
        throw ServiceError("byte \(offset) of file \(number) was asked for, which is not there")
      }
      let bytes = try files[number].read(offset..<min(files[number].byteCount, offset + byteCount))
      lock.withLock { turns.hasSent(bytes, to: peer) }
      let chunk = ModelChunk(file: number, offset: offset, payload: WireSlice(bytes))
      deliver(peer, session, .model(.chunk(chunk)))
    } catch {
      deliver(peer, session, .error(ErrorMessage(code: .model, reason: "the coordinator's model: \(error)")))
    }
  }

  /// The files and their digests, computed when they are first asked for.
  private func open() throws -> (offer: ModelOffer, files: [ModelFile]) {
    if let opened { return opened }
    let files = try paths.map { try ModelFile(path: $0) }
    let offered = try files.map {
      ModelOffer.File(name: FileSystem.name(of: $0.path), byteCount: $0.byteCount, sha256: try $0.sha256())
    }
    if let objection = ModelOffer.objection(to: offered) {
      throw ServiceError(
        "its files \(objection), so they cannot be sent",
        remedy: "copy its folder to the worker's machine, and give it there with --model DIR")
    }
    let offer = ModelOffer(modelSHA256: sha256, files: offered)
    guard ModelFiles.digest(of: offer) == sha256 else {
      throw ServiceError(
        "its files are no longer those that the run began with", remedy: "put the old ones back")
    }
    opened = (offer, files)
    return (offer, files)
  }
}

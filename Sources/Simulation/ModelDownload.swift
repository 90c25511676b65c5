import Coordination
import Service
import WireProtocol

/// What a machine has of base models, whichever worker process is there.
struct FetchedModels {
  /// By digest: the bytes of each file, as far as they have come.
  private(set) var files: [String: [[UInt8]]] = [:]
  private(set) var whole = Set<String>()

  func byteCount(_ sha256: String) -> Int { (files[sha256] ?? []).reduce(0) { $0 + $1.count } }

  mutating func begin(_ offer: ModelOffer) {
    if files[offer.modelSHA256] == nil { files[offer.modelSHA256] = offer.files.map { _ in [] } }
  }

  mutating func append(_ payload: WireSlice, to file: Int, of sha256: String) {
    payload.withUnsafeBytes { files[sha256]?[file] += $0 }
  }

  mutating func clear(_ file: Int, of sha256: String) { files[sha256]?[file] = [] }
  mutating func finish(_ sha256: String) { whole.insert(sha256) }
}

/// A base model that is being fetched, in one session.
struct ModelDownload {
  let run: EnterRun
  let number: RunNumber
  /// Nil until it has come.
  var offer: ModelOffer?
  /// The file that is being fetched.
  var file = 0
  var request: FileRequest?
  /// When the coordinator was last told how much is here.
  var lastReport: Instant
}

/// What ModelFetch does, message by message.
extension Simulation {
  /// Loads a run's model, which may have to be fetched first.
  func load(_ run: EnterRun, at place: Int) {
    let worker = workers[place]
    guard worker.plan.fetchesModels, !worker.models.whole.contains(run.modelSHA256) else {
      return loadFromDisk(run, worker.core.work.run, place)
    }
    let present = worker.models.byteCount(run.modelSHA256)
    if present > 0 { outcome.count("model fetches resumed") }
    workers[place].download = ModelDownload(run: run, number: worker.core.work.run, lastReport: now)
    ask(ModelCredit(received: present), at: place)
  }

  private func loadFromDisk(_ entered: EnterRun, _ number: RunNumber, _ place: Int) {
    enqueue(place, .other, seconds: scenario.loadSeconds) { simulation in
      simulation.workers[place].run = number
      simulation.workers[place].chains = WorkerChains()
      simulation.workers[place].wrongChains = WrongChains()
      simulation.workers[place].parameters = ToyParameters(
        counts: entered.tiers.map { $0.reduce(0) { $0 + $1.count } })
      return .modelLoaded(sha256: entered.modelSHA256)
    }
  }

  /// The session, or the process, is over: what has come stays.
  func endDownload(at place: Int) {
    guard let download = workers[place].download else { return }
    workers[place].download = nil
    if workers[place].models.byteCount(download.run.modelSHA256) > 0 { outcome.count(.fetchBroken) }
  }

  /// Takes what comes of a model.
  func feed(_ message: Message, _ envelope: Envelope, to place: Int) {
    let worker = workers[place]
    guard case .model(let model) = message, let download = worker.download,
      envelope.session == worker.core.session, envelope.work == worker.core.work
    else { return }
    do {
      if download.offer == nil { try take(model, at: place) } else { try append(model, at: place) }
      try goOnFetching(at: place)
    } catch {
      workers[place].download = nil
      tell(place, .modelFailed(reason: "\(error)"))
    }
    if isFaulty, random.chance(scenario.cutsAtChunk), workers[place].download != nil { cut(place) }
  }

  private func take(_ message: ModelMessage, at place: Int) throws {
    guard case .offer(let offer) = message else { return }
    let sha256 = workers[place].download?.run.modelSHA256 ?? ""
    guard offer.modelSHA256 == sha256, ModelFiles.digest(of: offer) == sha256 else {
      throw ServiceError("the coordinator offers another base model")
    }
    workers[place].models.begin(offer)
    workers[place].download?.offer = offer
  }

  private func append(_ message: ModelMessage, at place: Int) throws {
    guard let download = workers[place].download,
      let payload = try workers[place].download?.request?.take(message)
    else { return }
    let sha256 = download.run.modelSHA256
    workers[place].models.append(payload, to: download.file, of: sha256)
    guard now.seconds(since: download.lastReport) >= 1 else { return }
    workers[place].download?.lastReport = now
    ask(.report(received: workers[place].models.byteCount(sha256)), at: place)
  }

  private func goOnFetching(at place: Int) throws {
    while let download = workers[place].download, let offer = download.offer {
      let sha256 = offer.modelSHA256
      guard download.file < offer.files.count else { return finish(download, at: place) }
      let bytes = workers[place].models.files[sha256]?[download.file] ?? []
      let file = offer.files[download.file]
      var request =
        download.request
        ?? FileRequest(file, number: download.file, received: bytes.count, limits: scenario.fetchLimits)
      if request.isComplete {
        workers[place].download?.request = nil
        if ToyModel.sha256(bytes) == file.sha256 {
          workers[place].download?.file += 1
        } else {
          problem("\(file.name) has come to worker \(place) with other bytes")
          workers[place].models.clear(download.file, of: sha256)
        }
        continue
      }
      var pieces: [ModelCredit.Piece] = []
      while let piece = request.nextPiece() { pieces.append(piece) }
      workers[place].download?.request = request
      let received = workers[place].models.byteCount(sha256)
      for piece in pieces { ask(ModelCredit(received: received, piece), at: place) }
      return
    }
  }

  private func finish(_ download: ModelDownload, at place: Int) {
    outcome.count("models fetched")
    let sha256 = download.run.modelSHA256
    if workers[place].models.files[sha256] != run(download.number).toyModel?.files {
      problem("worker \(place) has another model than the coordinator")
    }
    workers[place].models.finish(sha256)
    workers[place].download = nil
    loadFromDisk(download.run, download.number, place)
  }

  private func ask(_ credit: ModelCredit, at place: Int) {
    guard workers[place].download != nil, let reason = send(.model(.credit(credit)), from: place) else {
      return
    }
    workers[place].download = nil
    tell(place, .connectionFailed(reason: reason))
  }
}

import Coordination
import Files
import Foundation
import Logging
import WireProtocol

/// Fetches a base model from the coordinator into the cache, from wherever an earlier fetch stopped. Nothing gets its
/// name before its digest is right. Keeps the caller's thread until it is done; another one feeds the channel.
struct ModelFetch {
  /// How often a file that arrives damaged is asked for again.
  private static let tries = 3
  /// Messages that are not the offer before the coordinator is not believed.
  private static let strayMessages = 256
  /// How long the coordinator may take for any answer, in seconds: for the first it reads all files for their digests,
  /// for the others many workers may be before this one.
  private static let answerSeconds = 300.0

  let cache: ModelCache
  let sha256: String
  let channel: ModelChannel
  let logger: Logger
  var failpoints = Failpoints.none
  /// How long another worker of this machine may fetch the model without getting on, in seconds.
  var lockSeconds = 600.0

  /// The folder that holds the model, once all of it is there.
  ///
  /// - Throws: `ModelChannel.Closed` if the session ends first; otherwise what is wrong, and what helps.
  func run() throws -> String {
    do {
      try FileSystem.makeFolders(cache.path)
      let lock = try takeLock()
      return try withExtendedLifetime(lock) { try fetch() }
    } catch let error as FileError {
      throw ServiceError(
        "the base model cannot be kept in \(cache.path): \(error)",
        remedy: "another folder for it is given with --model-cache DIR")
    }
  }

  // MARK: Beside other workers

  /// Waits while another worker of this machine fetches the same model.
  private func takeLock() throws -> FolderLock {
    var seen = -1
    var since = MonotonicClock.now()
    var told = since + -60
    while true {
      do { return try cache.lock(sha256) } catch let taken as FolderLock.Taken {
        let now = MonotonicClock.now()
        let bytes = cache.fetchedBytes(sha256)
        let holder = taken.holder ?? "another worker"
        if now.seconds(since: told) > 10 {
          logger.info("waiting for \(holder) to fetch the base model to \(cache.path): \(megabytes(bytes))")
          // The coordinator takes this for a sign that the model is on its way.
          channel.send(.credit(.report(received: bytes)))
          told = now
        }
        if bytes != seen { (seen, since) = (bytes, now) }
        guard now.seconds(since: since) < lockSeconds else {
          throw ServiceError(
            "\(holder) has the lock on the base model in \(cache.path), and has fetched nothing of it for "
              + "\(Int(lockSeconds)) s", remedy: "end it, or give another folder with --model-cache DIR")
        }
        try channel.pause(seconds: 0.3)
      }
    }
  }

  // MARK: The folder

  private func fetch() throws -> String {
    let folder = cache.folder(sha256)
    if FileSystem.kind(folder) != nil {
      if try ModelSource.digest(of: folder) == sha256 { return folder }
      logger.warning("the base model in \(folder) is damaged; what is wrong of it is fetched again")
      try cache.reopen(sha256)
    }
    let partial = cache.partialFolder(sha256)
    try FileSystem.makeFolder(partial, orUseExisting: true)
    let offer = try takeOffer()
    try removeStrangers(offer)
    let present = cache.fetchedBytes(sha256)
    try checkRoom(for: offer.byteCount - present)
    let rest = present > 0 ? "; \(megabytes(present)) are there" : ""
    logger.info("fetching the base model, \(megabytes(offer.byteCount)), to \(folder)\(rest)")
    var progress = FetchProgress(totalBytes: offer.byteCount, logger: logger)
    for (number, file) in offer.files.enumerated() { try fetch(file, number, &progress) }
    try cache.finish(sha256)
    logger.info("the base model is in \(folder); \(progress.summary)")
    return folder
  }

  /// - Throws: `ServiceError` if what is offered cannot be the run's model.
  private func takeOffer() throws -> ModelOffer {
    if failpoints.fires(.modelHang) { while true { try channel.pause(seconds: 60) } }
    channel.send(.credit(ModelCredit(received: cache.fetchedBytes(sha256))))
    for _ in 0..<Self.strayMessages {
      guard case .offer(let offer) = try channel.receive(seconds: Self.answerSeconds) else { continue }
      let names = offer.files.map(\.name)
      if let name = names.first(where: { !ModelFiles.isExpected(name: $0) }) {
        throw ServiceError("the coordinator offers \(name) as a part of the base model, which is none")
      }
      guard offer.modelSHA256 == sha256, ModelFiles.digest(of: offer) == sha256 else {
        throw ServiceError(
          "the coordinator offers another base model than the run's, whose SHA-256 is \(sha256)")
      }
      return offer
    }
    throw ServiceError("the coordinator does not say which files the base model has")
  }

  /// What is in the partial folder and belongs to no offered file, as from an offer with other shards.
  private func removeStrangers(_ offer: ModelOffer) throws {
    let partial = cache.partialFolder(sha256)
    let known = Set(offer.files.flatMap { [$0.name, $0.name + PartialFile.suffix] })
    for name in try FileSystem.names(in: partial) where !known.contains(name) {
      try FileSystem.remove(partial + "/" + name)
    }
  }

  private func checkRoom(for bytes: Int) throws {
    guard let free = cache.freeBytes, free < bytes else { return }
    throw ServiceError(
      "there is no room for the base model: \(cache.path) needs \(megabytes(bytes)) more, \(megabytes(free)) are free",
      remedy: "free some space, or give a folder on another volume with --model-cache DIR")
  }

  // MARK: A file

  private func fetch(
    _ file: ModelOffer.File, _ number: Int, _ progress: inout FetchProgress
  ) throws {
    let path = cache.partialFolder(sha256) + "/" + file.name
    if FileSystem.kind(path) != nil {
      if try FileDigest.sha256(file: path) == file.sha256 {
        return progress.add(file.byteCount, fetched: false)
      }
      logger.warning("\(path) is damaged, and is fetched again")
      try FileSystem.remove(path)
    }
    let part = try PartialFile(path: path + PartialFile.suffix)
    if part.byteCount > file.byteCount { try part.clear() }
    for _ in 0..<Self.tries {
      progress.add(part.byteCount, fetched: false)
      try receive(number, file, part, &progress)
      if part.sha256 == file.sha256 { return try part.finish(as: path) }
      logger.warning("\(path) has not the SHA-256 that was offered; it is fetched again")
      progress.add(-file.byteCount, fetched: false)
      try part.clear()
    }
    throw ServiceError("\(file.name) of the base model has arrived damaged \(Self.tries) times")
  }

  /// Takes the rest of a file, whatever its digest.
  private func receive(
    _ number: Int, _ file: ModelOffer.File, _ part: PartialFile, _ progress: inout FetchProgress
  ) throws {
    var request = FileRequest(file, number: number, received: part.byteCount)
    while !request.isComplete {
      while let piece = request.nextPiece() {
        channel.send(.credit(ModelCredit(received: max(0, progress.bytes), piece)))
      }
      let message = try channel.receive(seconds: Self.answerSeconds)
      guard let payload = try request.take(message) else { continue }
      try payload.withUnsafeBytes { try part.append($0) }
      progress.add(payload.byteCount, fetched: true)
      // The last window has all been asked for, and may take long.
      if progress.isReportDue { channel.send(.credit(.report(received: max(0, progress.bytes)))) }
      if let seconds = failpoints.number(.modelDelay) { try channel.pause(seconds: seconds) }
    }
  }
}

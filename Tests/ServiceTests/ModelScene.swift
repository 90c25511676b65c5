import Files
import Foundation
import Harness
import Logging
import Synchronization
import Testing
import WireProtocol

@testable import Service

/// A worker's fetch and a coordinator's shelf in one process, and a cache of their own.
struct ModelScene {
  struct Model: Sendable {
    let paths: [String]
    let sha256: String

    /// The one that is shipped as an example: 7 MB in one file of weights.
    static let shipped: Model = {
      let folder = Fixtures.tests.deletingLastPathComponent().path + "/examples/quickstart/base"
      let paths = [folder + "/config.json", folder + "/model.safetensors"]
      return Model(paths: paths, sha256: (try? FileDigest.sha256(files: paths)) ?? "")
    }()

    func bytes(_ name: String) throws -> Data {
      let path = try #require(paths.first { $0.hasSuffix("/" + name) })
      return try Data(contentsOf: URL(fileURLWithPath: path))
    }

    var byteCount: Int { paths.reduce(0) { $0 + (FileSystem.size($1) ?? 0) } }
  }

  let model = Model.shipped
  let scratch: Scratch
  let cache: ModelCache
  let line: ModelLine

  init() throws {
    scratch = try Scratch()
    cache = ModelCache(path: scratch.path("cache"))
    line = ModelLine(model)
  }

  /// Puts a file where an earlier fetch would have.
  func leave(_ name: String, _ bytes: Data) throws {
    let folder = cache.partialFolder(model.sha256)
    try FileSystem.makeFolders(folder)
    try bytes.write(to: URL(fileURLWithPath: folder + "/" + name))
  }

  func fetch(through line: ModelLine? = nil, lockSeconds: Double = 600) throws -> String {
    let channel = (line ?? self.line).open()
    return try ModelFetch(
      cache: cache, sha256: model.sha256, channel: channel,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, lockSeconds: lockSeconds
    ).run()
  }

  /// Why a fetch fails.
  func failure() throws -> String {
    do {
      _ = try fetch()
      return "it did not fail"
    } catch let error as ServiceError { return error.description }
  }

  /// All files are there with their bytes, and nothing else of this model but the lock.
  func expectWhole(line: Int = #line) throws {
    let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1)
    let folder = cache.folder(model.sha256)
    let names = model.paths.map { FileSystem.name(of: $0) }
    #expect(try FileSystem.names(in: folder) == names, sourceLocation: place)
    for name in names {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
      #expect(try bytes == model.bytes(name), sourceLocation: place)
    }
    #expect(
      try FileSystem.names(in: cache.path) == [model.sha256, model.sha256 + ".lock"], sourceLocation: place)
  }
}

/// What goes between them, which a test may change.
final class ModelLine: Sendable {
  private struct State {
    var channel: ModelChannel?
    var shelf: ModelFileServer?
    var fetchedBytes = 0
    var change: (@Sendable (ModelMessage) -> [ModelMessage])?
  }

  private let model: ModelScene.Model
  private let state = Mutex(State())
  private let peer = PeerID("w")
  private let session = SessionID(high: 1, low: 2)

  init(_ model: ModelScene.Model) { self.model = model }

  /// Bytes that have come through, in all.
  var fetchedBytes: Int { state.withLock { $0.fetchedBytes } }

  /// What becomes of the coordinator's messages.
  var change: (@Sendable (ModelMessage) -> [ModelMessage])? {
    get { state.withLock { $0.change } }
    set { state.withLock { $0.change = newValue } }
  }

  /// A session.
  func open() -> ModelChannel {
    let channel = ModelChannel { [self] message in
      guard case .credit(let credit) = message, let shelf = state.withLock({ $0.shelf }) else { return }
      if !shelf.ask(credit, peer: peer, session: session) { close() }
    }
    let shelf = ModelFileServer(paths: model.paths, sha256: model.sha256) { [self] _, _, message in
      pass(message)
    }
    state.withLock { ($0.channel, $0.shelf) = (channel, shelf) }
    return channel
  }

  func close() { state.withLock { $0.channel }?.close() }

  private func pass(_ message: Message) {
    let (channel, change) = state.withLock { ($0.channel, $0.change) }
    switch message {
    case .model(let message):
      for message in change?(message) ?? [message] {
        if case .chunk(let chunk) = message {
          state.withLock { $0.fetchedBytes += chunk.payload.byteCount }
        }
        channel?.deliver(message)
      }
    case .error(let error): channel?.fail(error.reason)
    default: break
    }
  }
}

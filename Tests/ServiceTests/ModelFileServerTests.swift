import Foundation
import Harness
import Synchronization
import Testing
import WireProtocol

@testable import Service

/// Many workers at one shelf. The reference is the model's files.
@Suite struct ModelFileServerTests {
  /// What a shelf has delivered, and keeps as long as a slow network would.
  private final class Network: Sendable {
    let delivered = Mutex<[(peer: PeerID, message: Message)]>([])

    func shelf(_ limits: ModelFileServer.Limits = .init(), paths: [String] = ModelScene.Model.shipped.paths)
      -> ModelFileServer
    {
      ModelFileServer(paths: paths, sha256: ModelScene.Model.shipped.sha256, limits: limits) {
        peer, _, message in
        self.delivered.withLock { $0.append((peer, message)) }
      }
    }

    var peers: [PeerID] { delivered.withLock { $0.map(\.peer) } }
    var bytes: Int {
      delivered.withLock { delivered in
        delivered.reduce(0) { sum, one in
          guard case .model(.chunk(let chunk)) = one.message else { return sum }
          return sum + chunk.payload.byteCount
        }
      }
    }
    var errors: [String] {
      delivered.withLock {
        $0.compactMap { if case .error(let error) = $0.message { error.reason } else { nil } }
      }
    }
    func letGo() { delivered.withLock { $0 = [] } }

    /// Waits until nothing has come for a while.
    func settle() {
      var last = -1
      while last != delivered.withLock({ $0.count }) {
        last = delivered.withLock { $0.count }
        usleep(100_000)
      }
    }
  }

  private let session = SessionID(high: 1, low: 1)

  private func ask(_ shelf: ModelFileServer, _ peer: String, _ offset: Int, _ count: Int, file: Int = 1)
    -> Bool
  {
    shelf.ask(
      ModelCredit(received: 0, ModelCredit.Piece(file: file, offset: offset, byteCount: count)),
      peer: PeerID(peer), session: session)
  }

  /// Requests for next to nothing cost more than they ask for.
  @Test func manySmallPieces() {
    var reader = ModelReader(session: session)
    var taken = 0
    while taken < 1 << 20,
      reader.ask(ModelCredit.Piece(file: 0, offset: taken, byteCount: 1), limit: 8 << 20)
    {
      taken += 1
    }
    #expect(taken == 2048)
    while reader.take() != nil {}
    #expect(reader.askedBytes == 0 && !reader.isWaiting)
    let isTaken = reader.ask(ModelCredit.Piece(file: 0, offset: 0, byteCount: 600_000), limit: 8 << 20)
    #expect(isTaken)
    _ = reader.take()
    #expect(reader.askedBytes == 600_000 - WireLimits.chunkBytes)
    while reader.take() != nil {}
    #expect(reader.askedBytes == 0)
  }

  /// However many ask, and however slowly their bytes go out, only so many are read.
  @Test func boundedMemory() throws {
    let network = Network()
    let limits = ModelFileServer.Limits(askedBytes: 8 << 20, workerBytes: 1 << 20, totalBytes: 8 << 20)
    let shelf = network.shelf(limits)
    for number in 0..<100 {
      for piece in 0..<2 { #expect(ask(shelf, "w\(number)", piece << 20, 1 << 20)) }
    }
    network.settle()
    // A chunk may be read while there is room for a part of it.
    #expect(network.bytes == 8 << 20)
    var all = network.bytes
    while all < 200 << 20 {
      network.letGo()
      network.settle()
      #expect(network.bytes > 0 && network.bytes <= 8 << 20)
      guard network.bytes > 0 else { break }
      all += network.bytes
    }
    #expect(all == 200 << 20)
  }

  /// One that takes nothing holds nobody up, and is forgotten when it goes.
  @Test func aStalledWorker() throws {
    let network = Network()
    let shelf = network.shelf(.init(askedBytes: 8 << 20, workerBytes: 1 << 20, totalBytes: 2 << 20))
    for piece in 0..<4 { #expect(ask(shelf, "stalled", piece << 20, 1 << 20)) }
    network.settle()
    #expect(network.bytes == 1 << 20)
    #expect(ask(shelf, "b", 0, 1 << 20))
    network.settle()
    #expect(network.bytes == 2 << 20)
    shelf.forget(PeerID("stalled"))
    #expect(ask(shelf, "c", 0, 1 << 20))
    network.settle()
    #expect(network.bytes == 3 << 20)
  }

  /// Workers get their chunks in turns.
  @Test func inTurns() throws {
    let network = Network()
    let shelf = network.shelf(.init(askedBytes: 8 << 20, workerBytes: 256 << 10, totalBytes: 4 << 20))
    for peer in ["a", "b", "c"] { #expect(ask(shelf, peer, 0, 1 << 20)) }
    for _ in 0..<4 {
      network.settle()
      #expect(network.peers.map(\.description).sorted() == ["a", "b", "c"])
      network.letGo()
    }
  }

  @Test func askingForTooMuch() throws {
    let network = Network()
    let shelf = network.shelf(.init(askedBytes: 4 << 20, workerBytes: 256 << 10, totalBytes: 4 << 20))
    #expect(ask(shelf, "a", 0, 4 << 20))
    #expect(!ask(shelf, "a", 0, 4 << 20))
    #expect(ask(shelf, "b", 0, 4 << 20))
  }

  /// Bytes that no file has are refused in words.
  @Test(arguments: [(0, 1 << 30), (2, 0), (4095, 0)]) func bytesThatAreNotThere(file: Int, offset: Int) {
    let network = Network()
    #expect(ask(network.shelf(), "a", offset, 1000, file: file))
    network.settle()
    #expect(network.errors.first?.contains("which is not there") == true)
  }

  /// Files that have changed since the run began, are gone, or have names that cannot be sent, are named.
  @Test func filesThatCannotBeGiven() throws {
    let scratch = try Scratch()
    let paths = ModelScene.Model.shipped.paths
    let changed = try scratch.write("config.json", "{}")
    let spaced = scratch.path("a b.safetensors")
    try FileManager.default.copyItem(atPath: paths[1], toPath: spaced)
    for (paths, words) in [
      ([changed, paths[1]], "no longer those that the run began with"),
      ([paths[0], scratch.path("gone.safetensors")], "gone.safetensors: opening failed: No such file"),
      ([paths[0], spaced], "has a name that is not one of"),
    ] {
      let network = Network()
      let shelf = network.shelf(paths: paths)
      #expect(shelf.ask(ModelCredit(received: 0), peer: PeerID("a"), session: session))
      network.settle()
      #expect(network.errors.first?.contains(words) == true, "\(network.errors)")
    }
  }
}

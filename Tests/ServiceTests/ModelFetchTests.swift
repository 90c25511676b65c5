import Files
import Foundation
import Harness
import Logging
import Synchronization
import Testing

@testable import Service
@testable import WireProtocol

/// A fetch and a shelf, with a message in between that may be changed: what a worker takes from a coordinator that
/// breaks down, or lies. The reference is the model's folder.
@Suite struct ModelFetchTests {
  static let model = ModelScene.Model.shipped

  @Test func byteForByte() throws {
    let scene = try ModelScene()
    #expect(try scene.fetch() == scene.cache.folder(scene.model.sha256))
    try scene.expectWhole()
    #expect(scene.line.fetchedBytes == scene.model.byteCount)
    // What is there is not fetched again.
    _ = try scene.fetch()
    #expect(scene.line.fetchedBytes == scene.model.byteCount)
  }

  /// What an earlier fetch left is not fetched again, if it is right.
  @Test(arguments: [1, 262_144, 3_000_000]) func goesOn(present: Int) throws {
    let scene = try ModelScene()
    try scene.leave("model.safetensors.part", try scene.model.bytes("model.safetensors").prefix(present))
    try scene.leave("stranger.safetensors", Data([1]))
    _ = try scene.fetch()
    try scene.expectWhole()
    #expect(scene.line.fetchedBytes == scene.model.byteCount - present)
  }

  /// Left-overs that are wrong are found out, and replaced.
  @Test func wrongLeftOvers() throws {
    let scene = try ModelScene()
    var start = try scene.model.bytes("model.safetensors").prefix(1_000_000)
    start[start.startIndex + 500_000] ^= 1
    try scene.leave("model.safetensors.part", start)
    try scene.leave("config.json", Data("{}".utf8))
    _ = try scene.fetch()
    try scene.expectWhole()
    let longer = try ModelScene()
    try longer.leave("config.json.part", Data(count: 5000))
    _ = try longer.fetch()
    try longer.expectWhole()
  }

  /// A cached model with a flipped bit, or without a file, is not trusted; only the file at fault is fetched again.
  @Test func damagedCache() throws {
    for damage in ["flip", "cut", "remove"] {
      let scene = try ModelScene()
      let folder = try scene.fetch()
      let path = folder + "/model.safetensors"
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      switch damage {
      case "flip": bytes[bytes.count - 7] ^= 4
      case "cut": bytes.removeLast(1000)
      default: break
      }
      try FileManager.default.removeItem(atPath: path)
      if damage != "remove" { try bytes.write(to: URL(fileURLWithPath: path)) }
      let before = scene.line.fetchedBytes
      _ = try scene.fetch()
      try scene.expectWhole()
      #expect(try scene.line.fetchedBytes - before == scene.model.bytes("model.safetensors").count)
    }
  }

  /// A chunk that is damaged on the way is asked for again.
  @Test func damagedChunk() throws {
    let scene = try ModelScene()
    let count = Mutex(0)
    scene.line.change = { message in
      guard case .chunk(let chunk) = message,
        count.withLock({
          $0 += 1
          return $0 % 9 == 3
        })
      else {
        return [message]
      }
      var bytes = chunk.payload.withUnsafeBytes { Array($0) }
      bytes[0] ^= 1
      var damaged = ModelChunk(file: chunk.file, offset: chunk.offset, payload: WireSlice(bytes))
      damaged.checksum = chunk.checksum
      return [.chunk(damaged)]
    }
    _ = try scene.fetch()
    try scene.expectWhole()
  }

  // MARK: - Coordinators that lie

  /// Bytes that have not the offered digest never get the model's name, however often they come.
  @Test func wrongBytes() throws {
    let scene = try ModelScene()
    scene.line.change = { message in
      guard case .chunk(let chunk) = message, chunk.offset == 0 else { return [message] }
      var bytes = chunk.payload.withUnsafeBytes { Array($0) }
      bytes[bytes.count - 1] ^= 1
      return [.chunk(ModelChunk(file: chunk.file, offset: 0, payload: WireSlice(bytes)))]
    }
    #expect(try scene.failure().contains("has arrived damaged 3 times"))
    #expect(FileSystem.kind(scene.cache.folder(scene.model.sha256)) == nil)
    // The next coordinator is honest.
    scene.line.change = nil
    _ = try scene.fetch()
    try scene.expectWhole()
  }

  @Test(arguments: [
    ("another digest", "offers another base model"), ("another file", "offers another base model"),
    ("a file less", "offers another base model"), ("another model", "offers another base model"),
    ("no part of a model", "offers tokenizer.json"), ("too large", "there is no room"),
    ("no offer", "does not say which files"),
  ])
  func lyingOffer(lie: String, words: String) throws {
    let scene = try ModelScene()
    scene.line.change = { message in
      guard case .offer(var offer) = message else { return [message] }
      let other = String(repeating: "0", count: 64)
      switch lie {
      case "another digest": offer.files[0].sha256 = other
      case "another file":
        offer.files.append(ModelOffer.File(name: "extra.safetensors", byteCount: 1, sha256: other))
      case "a file less": offer.files.removeLast()
      case "another model": offer.modelSHA256 = other
      case "too large": offer.files[0].byteCount = WireLimits.modelFileBytes
      case "no offer":
        return Array(repeating: .chunk(ModelChunk(file: 0, offset: 0, payload: WireSlice([1]))), count: 300)
      default: offer.files.append(ModelOffer.File(name: "tokenizer.json", byteCount: 1, sha256: other))
      }
      return [.offer(offer)]
    }
    let failure = try scene.failure()
    #expect(
      failure.contains(words) && (lie != "too large" || failure.contains("--model-cache")), "\(failure)")
    #expect(FileSystem.kind(scene.cache.folder(scene.model.sha256)) == nil)
  }

  /// Names that would leave the folder, or hide in it, do not get past the decoder.
  @Test(arguments: [
    "../config.json", "/etc/passwd", "a/b.safetensors", "..", ".", "", ".hidden.safetensors",
    "a b.safetensors",
    "ü.safetensors", "a\\b", "a\0b", String(repeating: "a", count: 201),
  ])
  func unsafeNames(name: String) {
    #expect(!ModelOffer.File.isSafe(name: name) && !ModelFiles.isExpected(name: name))
    let file = ModelOffer.File(name: name, byteCount: 1, sha256: ModelFetchTests.model.sha256)
    #expect(ModelOffer.objection(to: [file])?.contains("has a name that is not") == true)
  }

  /// A coordinator that does not stop sending costs a bounded amount of memory.
  @Test func flood() throws {
    let channel = ModelChannel { _ in }
    let chunk = ModelChunk(file: 0, offset: 0, payload: WireSlice([UInt8](repeating: 1, count: 1 << 18)))
    for _ in 0..<60 { channel.deliver(.chunk(chunk)) }
    _ = try channel.receive(seconds: 1)
    for _ in 0..<10 { channel.deliver(.chunk(chunk)) }
    #expect(errorText { _ = try channel.receive(seconds: 1) }.contains("sends more of the base model than"))
  }

  /// Silence has an end.
  @Test func silence() throws {
    let channel = ModelChannel { _ in }
    #expect(
      errorText { _ = try channel.receive(seconds: 0.1) }.contains("has sent nothing of the base model"))
  }

  // MARK: - The disk

  /// A full or broken disk at any change on the way is told of with the folder; then the fetch goes on.
  @Test func faultAtEveryChange() throws {
    var failures = 0
    var isOver = false
    while !isOver {
      let scene = try ModelScene()
      let left = Mutex(failures)
      let watcher = FileSystem.Watcher { _ in
        left.withLock {
          $0 -= 1
          return $0 == -1 ? ENOSPC : nil
        }
      }
      do {
        _ = try FileSystem.$watcher.withValue(watcher) { try scene.fetch() }
        isOver = true
      } catch let error as ServiceError {
        failures += 1
        let text = error.description
        #expect(text.contains(scene.cache.path) && text.contains("--model-cache"), "\(text)")
        #expect(text.contains("No space left"), "\(text)")
        _ = try scene.fetch()
      }
      try scene.expectWhole()
    }
    print("faults made, one in each fetch: \(failures)")
    #expect(failures > 30)
  }

  // MARK: - Several workers

  /// Two workers of a machine: one fetches, the other waits for it.
  @Test func twoAtOnce() throws {
    let scene = try ModelScene()
    let other = ModelLine(scene.model)
    let second = DispatchGroup()
    let path = Mutex("")
    DispatchQueue.global().async(group: second) {
      let folder = (try? scene.fetch(through: other)) ?? "failed"
      path.withLock { $0 = folder }
    }
    let first = try scene.fetch()
    second.wait()
    #expect(path.withLock { $0 } == first)
    try scene.expectWhole()
    #expect(scene.line.fetchedBytes + other.fetchedBytes == scene.model.byteCount)
  }

  /// A worker does not wait for ever for one that does not get on.
  @Test func aLockThatIsNotLetGo() throws {
    let scene = try ModelScene()
    try FileSystem.makeFolders(scene.cache.path)
    let lock = try scene.cache.lock(scene.model.sha256)
    let text = withExtendedLifetime(lock) {
      errorText { _ = try scene.fetch(lockSeconds: 0.5) }
    }
    #expect(text.contains("process \(getpid())") && text.contains("fetched nothing of it"), "\(text)")
  }

  /// The end of the session ends a fetch at once, whatever it waits for.
  @Test func closing() throws {
    let scene = try ModelScene()
    let line = scene.line
    line.change = { _ in
      line.close()
      return []
    }
    #expect(throws: ModelChannel.Closed.self) { _ = try scene.fetch() }
  }

  // MARK: - Where the cache is

  @Test func whereTheCacheIs() throws {
    func path(_ option: String?, _ environment: [String: String]) throws -> String {
      try ModelCache(option: option, environment: environment).path
    }
    let all = ["NL_MODEL_CACHE": "/m", "XDG_CACHE_HOME": "/x", "HOME": "/h"]
    #expect(try path("/o", all) == "/o")
    #expect(try path(nil, all) == "/m")
    #expect(try path(nil, ["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/nested-learning/models")
    #expect(
      try path(nil, ["XDG_CACHE_HOME": "x", "NL_MODEL_CACHE": "", "HOME": "/h"])
        == "/h/.cache/nested-learning/models")
    #expect(errorText { _ = try path(nil, [:]) }.contains("--model-cache"))
  }
}

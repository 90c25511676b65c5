import Foundation
import Harness
import JSON
import Testing

/// Workers that lack the base model, by the real programs. The reference is the same run with a local worker that reads
/// it where it is. `model.fetch` keeps workers from looking there.
@Suite(.serialized) struct ModelFetchTests {
  private static let model = Fixtures.tests.deletingLastPathComponent().path + "/examples/quickstart/base"
  private static let proxy =
    Fixtures.tests.deletingLastPathComponent().path + "/cluster/testbed/proxy.py"
  private static let changes: [String: JSONValue] = ["base_model_path": .string(model), "num_steps": 4]
  private static let reference = Result {
    let run = try TrainingRun(changes)
    try run.train()
    return (adapter: try run.adapterHash(), state: try run.stateDigest())
  }

  private let run: TrainingRun
  private let endpoint = "tcp://127.0.0.1:\(freePort())"
  private let cache: String

  init() throws {
    run = try TrainingRun(Self.changes)
    cache = run.scratch.path("cache")
  }

  private func coordinator(_ failpoints: String = "") throws -> Running {
    try run.start(
      ["--local-workers", "0", "--listen", endpoint], environment: ["NL_FAILPOINTS": failpoints])
  }

  private func worker(_ failpoints: String = "", cache: String? = nil) throws -> Running {
    try Program.worker.start(
      ["--connect", endpoint, "--threads", "1", "--model-cache", cache ?? self.cache],
      environment: ["NL_FAILPOINTS": "model.fetch" + failpoints])
  }

  private func expectTheSame(_ coordinator: Running, _ workers: Running...) throws {
    try coordinator.wait().expectSuccess()
    for worker in workers { try worker.wait(seconds: 20).expectSuccess() }
    #expect(try run.adapterHash() == Self.reference.get().adapter)
    #expect(try run.stateDigest() == Self.reference.get().state)
  }

  private static func size(_ path: String) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
  }

  private static var wholeBytes: Int { size(model + "/config.json") + size(model + "/model.safetensors") }

  /// The one folder in the cache that holds a model, or a part of one.
  private func folder(_ suffix: String = "") -> String {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? []
    return cache + "/" + (names.first { $0.hasSuffix(suffix) && !$0.hasSuffix(".lock") } ?? "none")
  }

  private var partialBytes: Int { Self.size(folder(".partial") + "/model.safetensors.part") }

  /// Bytes that a worker's last whole fetch took, as it says.
  private func fetchedBytes(_ worker: Running) -> Int? {
    worker.errors.split(separator: "\n").last { $0.contains("bytes came in") }?
      .split(separator: "; ").last?.split(separator: " ").first.flatMap { Int($0) }
  }

  // MARK: - Fetching

  @Test func anEmptyCache() throws {
    let coordinator = try coordinator()
    let worker = try worker()
    try expectTheSame(coordinator, worker)
    #expect(fetchedBytes(worker) == Self.wholeBytes)
    #expect(try sha256(folder() + "/model.safetensors") == sha256(Self.model + "/model.safetensors"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: cache).count == 2)
    // The next run finds it.
    let again = try TrainingRun(Self.changes)
    let second = try again.start(["--local-workers", "0", "--listen", endpoint])
    let other = try self.worker()
    try second.wait().expectSuccess()
    try other.wait(seconds: 20).expectSuccess()
    #expect(fetchedBytes(other) == nil, "\(other.errors)")
    #expect(try again.adapterHash() == Self.reference.get().adapter)
  }

  /// Half a fetch is not lost with its worker.
  @Test func aKilledWorkerGoesOn() throws {
    let coordinator = try coordinator()
    let killed = try worker(",model.delay=0.1")
    #expect(waitUntil(seconds: 30) { partialBytes >= 3_000_000 }, "\(killed.errors)")
    killed.terminate()
    _ = try killed.wait()
    let present = partialBytes
    let worker = try worker()
    try expectTheSame(coordinator, worker)
    let fetched = try #require(fetchedBytes(worker))
    #expect(fetched <= Self.wholeBytes - present)
    print("worker killed with \(present) of \(Self.wholeBytes) bytes; the next one fetched \(fetched)")
  }

  /// The same with a coordinator that is killed and goes on; the worker joins it again.
  @Test func aKilledCoordinatorGoesOn() throws {
    let killed = try coordinator()
    let worker = try worker(",model.delay=0.1,silence=2")
    #expect(waitUntil(seconds: 30) { partialBytes >= 3_000_000 }, "\(worker.errors)")
    killed.terminate()
    _ = try killed.wait()
    let present = partialBytes
    let coordinator = try Program.coord.start(
      ["resume", run.folder, "--local-workers", "0", "--listen", endpoint])
    try expectTheSame(coordinator, worker)
    let fetched = try #require(fetchedBytes(worker))
    #expect(fetched <= Self.wholeBytes - present && worker.errors.contains("joining again"))
    print("coordinator killed with \(present) of \(Self.wholeBytes) bytes; then \(fetched) were fetched")
  }

  /// A connection that is cut twice in the middle of the fetch costs what was under way: at most a chunk each time.
  @Test func aCutConnectionGoesOn() throws {
    let coordinator = try coordinator()
    let proxy = try Program(name: Self.proxy).start([
      "--connect", String(endpoint.dropFirst("tcp://".count)), "--cut-down", "3000000,2000000",
    ])
    defer { proxy.terminate() }
    let marker = "listening on "
    #expect(waitUntil(seconds: 20) { proxy.output.contains("\n") && proxy.output.hasPrefix(marker) })
    let address = "tcp://" + proxy.output.dropFirst(marker.count).prefix { $0 != "\n" }
    let worker = try Program.worker.start(
      ["--connect", address, "--threads", "1", "--model-cache", cache],
      environment: ["NL_FAILPOINTS": "model.fetch"])
    try expectTheSame(coordinator, worker)
    let fetched = try #require(fetchedBytes(worker))
    let chunk = 1 << 20
    #expect(fetched <= Self.wholeBytes - 5_000_000 + 2 * chunk)
    let breaks = worker.errors.components(separatedBy: "joining again").count - 1
    #expect(breaks == 2, "\(worker.errors)")
    print("cut after 3,000,000 and 2,000,000 bytes; then \(fetched) of \(Self.wholeBytes) were fetched")
  }

  /// A model in the cache that has lost a bit is found out before anything is computed with it.
  @Test func aDamagedCache() throws {
    let first = try coordinator()
    let worker = try worker()
    try expectTheSame(first, worker)
    let path = folder() + "/model.safetensors"
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.seek(toOffset: 5_000_000)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: 5_000_000)
    try file.write(contentsOf: Data([byte ^ 1]))
    try file.close()
    let again = try TrainingRun(Self.changes)
    let second = try again.start(["--local-workers", "0", "--listen", endpoint])
    let other = try self.worker()
    try second.wait().expectSuccess()
    try other.wait(seconds: 20).expectSuccess()
    #expect(other.errors.contains("is damaged"), "\(other.errors)")
    #expect(fetchedBytes(other) == Self.size(path))
    #expect(try sha256(path) == sha256(Self.model + "/model.safetensors"))
    #expect(try again.adapterHash() == Self.reference.get().adapter)
  }

  /// One fetches, the other waits; both train.
  @Test func twoWorkersOfOneCache() throws {
    let coordinator = try coordinator()
    let workers = [
      try worker(",model.delay=0.02,compute.delay=0.3"), try worker(",model.delay=0.02,compute.delay=0.3"),
    ]
    try expectTheSame(coordinator, workers[0], workers[1])
    let fetched = workers.compactMap { fetchedBytes($0) }
    #expect(fetched == [Self.wholeBytes])
    #expect(workers.count { $0.errors.contains("to fetch the base model") } == 1)
    let computed = try sqlite(
      run.file("state.sqlite"),
      "SELECT count(DISTINCT worker) FROM assignments WHERE outcome IN ('committed', 'verified', 'duplicate')"
    )
    #expect(computed == "2")
  }

  // MARK: - Limits

  @Test(.enabled(if: SmallVolume.isPermitted)) func aFullDisk() throws {
    let volume = try #require(SmallVolume(kibibytes: 5000))
    let coordinator = try coordinator()
    defer { coordinator.terminate() }
    let result = try worker(cache: volume.path).wait(seconds: 30)
    #expect(result.status != 0)
    for words in ["there is no room", volume.path, "7.3 MB more", "--model-cache"] {
      #expect(result.errors.contains(words), "\(result.errors)")
    }
    // A folder that cannot be made is told of as well.
    let file = try run.scratch.write("file", "")
    let refused = try worker(cache: file + "/cache").wait(seconds: 30)
    #expect(refused.status != 0 && refused.errors.contains("--model-cache"), "\(refused.errors)")
  }

  /// A fetch may last longer than loading may: it is seen to get on. One that does not is ended.
  @Test func timeForLoading() throws {
    let coordinator = try coordinator("load=2")
    let slow = try worker(",model.delay=0.2")
    var seen: [String] = []
    let isReady = waitUntil(seconds: 40) {
      if let reason = try? status()["workers"]?.array?.first?["reason"]?.string, seen.last != reason {
        seen.append(reason)
      }
      return slow.errors.contains("bytes came in")
    }
    #expect(isReady, "\(slow.errors)")
    let shown = seen.filter { $0.hasPrefix("fetches the model: ") && $0.hasSuffix(" of 7.3 MB are there") }
    #expect(shown.count >= 3, "\(seen)")
    try expectTheSame(coordinator, slow)
    #expect(!coordinator.errors.contains("did not load"), "\(coordinator.errors)")
  }

  @Test func aFetchThatHangs() throws {
    let coordinator = try coordinator("load=1")
    let hanging = try worker(",model.hang@1")
    #expect(
      waitUntil(seconds: 20) { coordinator.errors.contains("it did not load the model within 1 s") },
      "\(coordinator.errors)")
    // It joins again, and this time it does not hang.
    try expectTheSame(coordinator, hanging)
  }

  private func status() throws -> JSONValue {
    try JSONValue(parsing: Program.coord.run(["status", run.folder, "--json"]).output)
  }
}

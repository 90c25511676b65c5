import Files
import Foundation
import LanguageModel
import Logging
import Tensors
import Testing
import Training
import WireProtocol

@testable import Service

/// The models that a worker keeps loaded between runs.
@Suite struct LoadedModelsTests {
  private static let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../LanguageModelTests/Fixtures/models").standardizedFileURL.path

  private static func run(_ name: String, rank: Int = 2) throws -> EnterRun {
    let specification = LoRASpecification(rank: rank, alpha: 4, targetModules: ["q_proj"], layers: [0])
    let folder = try ModelFolder(path: "\(models)/\(name)")
    let trainable = try TrainableModel(
      folder: folder, trainable: .lora(specification), pool: ThreadPool(threads: 1), scansForNonFinite: false)
    let parameters = trainable.parameters.map { TierParameter(name: $0.name, shape: $0.shape) }
    return EnterRun(
      workerID: 1, run: name, modelPath: folder.path,
      modelSHA256: try FileDigest.sha256(files: folder.weightFiles()), trainable: specification.json(),
      tiers: [parameters.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }])
  }

  private static func computer(bytes: Int?) throws -> ShardComputer {
    let source = ModelSource(ownPath: nil, cache: nil, logger: Logger(label: "test"), failpoints: .none)
    return try ShardComputer(threads: 1, source: source, failpoints: .none, modelBytes: bytes)
  }

  /// A worker that changes between two runs loads each model once; a third run of one of them with another adapter is
  /// another.
  @Test func keepsWhatItHasLoaded() throws {
    let (a, b) = try (Self.run("llama"), Self.run("qwen3"))
    let computer = try Self.computer(bytes: nil)
    func load(_ run: EnterRun) throws -> ObjectIdentifier? {
      #expect(try computer.load(run, channel: ModelChannel { _ in }) == run.modelSHA256)
      return computer.models.current.map { ObjectIdentifier($0.model) }
    }
    let first = try load(a)
    let second = try load(b)
    #expect(first != nil && first != second && computer.models.count == 2)
    #expect(try load(a) == first && load(b) == second && computer.models.count == 2)
    // Nothing of the parameters that another run has set counts.
    #expect(computer.models.current?.versions == [nil])
    _ = try load(Self.run("llama", rank: 3))
    #expect(computer.models.count == 3)
  }

  /// Where there is room for one, the last one stays; the one in use is never in the way of itself.
  @Test func theLeastRecentlyUsedGoes() throws {
    let (a, b, c) = try (Self.run("llama"), Self.run("qwen3"), Self.run("mistral"))
    func bytes(_ run: EnterRun) throws -> Int {
      try LoadedModels.bytes(of: ModelFolder(path: run.modelPath), trainsAll: false)
    }
    let two = try max(bytes(a) + bytes(b), bytes(a) + bytes(c), bytes(b) + bytes(c))
    let computer = try Self.computer(bytes: two)
    func load(_ run: EnterRun) throws { _ = try computer.load(run, channel: ModelChannel { _ in }) }
    try load(a)
    try load(b)
    try load(a)
    try load(c)
    #expect(computer.models.holds(a) && computer.models.holds(c) && !computer.models.holds(b))
    let small = try Self.computer(bytes: 1)
    _ = try small.load(a, channel: ModelChannel { _ in })
    _ = try small.load(b, channel: ModelChannel { _ in })
    #expect(small.models.count == 1 && small.models.holds(b))
  }
}

extension LoadedModels {
  fileprivate func holds(_ run: EnterRun) -> Bool {
    entries.contains { $0.key == (try? Key(run, precision: .f32)) }
  }
}

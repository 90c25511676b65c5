import Digests
import Foundation
import JSON
import LanguageModel
import Testing

@testable import GGUF

/// Small models by gguf.GGUFWriter, made by Fixtures/make_gguf.py, as folders.
@Suite struct ImportTests {
  private static let golden = Result {
    try JSONValue(parsing: [UInt8](Data(contentsOf: URL(filePath: fixture("models.json")))))
  }

  private static func imported(
    _ name: String, _ folder: TemporaryFolder, _ change: (inout GGUFImporter) -> Void = { _ in }
  ) throws -> (path: String, report: GGUFImporter.Report) {
    var importer = GGUFImporter(file: fixture(name + ".gguf"))
    importer.dtype = .f32
    change(&importer)
    let path = folder.path + "/" + name
    return (path, try importer.run(output: path) { _, _ in })
  }

  /// Every tensor has the bits of gguf.quants.dequantize, llama's rows of Q and K turned back, in one file or in shards.
  @Test(arguments: ["llama", "qwen2", "qwen3"]) func weightsAreThoseOfGGUFPy(name: String) throws {
    let expected = try #require(Self.golden.get()[name]?["tensors"]?.object)
    for shardSize in [Int.max, 20000] {
      let scratch = try TemporaryFolder()
      let model = try ModelFolder(path: Self.imported(name, scratch) { $0.shardSize = shardSize }.path)
      #expect((model.weights.files.count > 1) == (shardSize == 20000))
      #expect(model.weights.names == expected.members.map(\.key))
      for member in expected.members {
        let bytes = try model.weights.tensor(member.key).bytes
        var digest = DigestBuilder()
        digest.update(bytes)
        #expect(digest.finish() == member.value.string, "\(member.key)")
      }
    }
  }

  /// A file that was split, by the name of any part; with one of them gone it is named.
  @Test func partsAreOneModel() throws {
    let (scratch, other) = (try TemporaryFolder(), try TemporaryFolder())
    let whole = try ModelFolder(path: Self.imported("qwen2", scratch).path)
    let split = try ModelFolder(path: Self.imported("split-00002-of-00003", other).path)
    #expect(split.configuration == whole.configuration)
    for name in whole.weights.names {
      #expect(try split.weights.tensor(name).floats() == whole.weights.tensor(name).floats(), "\(name)")
    }
    #expect(try split.tokenizer().vocabularySize == whole.tokenizer().vocabularySize)
    let alone = try Data(contentsOf: URL(filePath: fixture("split-00002-of-00003.gguf")))
    let path = try scratch.write("split-00002-of-00003.gguf", [UInt8](alone))
    expectError("split-00001-of-00003.gguf", "cannot be read") { _ = try GGUFFile(path: path) }
    let renamed = try scratch.write("renamed.gguf", [UInt8](alone))
    expectError("renamed.gguf", "-00002-of-00003.gguf") { _ = try GGUFFile(path: renamed) }
  }

  /// Rounded to the nearest, ties to even: half a unit in the last of eight bits.
  @Test func bf16IsTheNearest() throws {
    let scratch = try TemporaryFolder()
    let exact = try ModelFolder(path: Self.imported("qwen2", scratch).path)
    let other = try TemporaryFolder()
    let (path, report) = try Self.imported("qwen2", other) { $0.dtype = .bf16 }
    let rounded = try ModelFolder(path: path)
    #expect(rounded.configuration.dtype == "bfloat16")
    #expect(report.lines.contains { $0.contains("rounded") })
    for name in exact.weights.names {
      for (a, b) in zip(try exact.weights.tensor(name).floats(), try rounded.weights.tensor(name).floats()) {
        #expect(abs(a - b) <= abs(a) / 256)
      }
    }
  }

  /// Ids by transformers, with and without what the post-processor adds.
  @Test(arguments: ["llama", "qwen2", "qwen3"]) func idsAreThoseOfTransformers(name: String) throws {
    let golden = try #require(Self.golden.get()[name]?.object)
    let scratch = try TemporaryFolder()
    let tokenizer = try Tokenizer(modelFolder: Self.imported(name, scratch).path)
    let texts = try #require(golden["strings"]?.array).compactMap(\.string)
    for (key, special) in [("special", true), ("plain", false)] {
      for (text, expected) in zip(texts, try #require(golden[key]?.array)) {
        let ids = try tokenizer.encode(text, addSpecialTokens: special)
        #expect(JSONValue.numbers(ids.map(Int.init)) == expected, "\(JSONValue.string(text).text)")
      }
    }
  }

  @Test func whatIsThereIsNotReplaced() throws {
    let scratch = try TemporaryFolder()
    _ = try Self.imported("llama", scratch)
    expectError("already there") { _ = try Self.imported("llama", scratch) }
  }

  /// An error in the middle, as Ctrl-C makes one, leaves nothing behind.
  @Test func nothingIsLeftOfWhatIsStopped() throws {
    struct Stopped: Error {}
    let scratch = try TemporaryFolder()
    #expect(throws: Stopped.self) {
      try GGUFImporter(file: fixture("llama.gguf")).run(output: scratch.path + "/model") { _, _ in
        throw Stopped()
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).isEmpty)
  }

  /// Rows of a head of four: 0 2 1 3 there are 0 1 2 3 here.
  @Test func rowsOfHeadsAreTurned() throws {
    let scratch = try TemporaryFolder()
    var configuration = try ModelFolder(path: Self.imported("llama", scratch).path).configuration
    configuration.headDimension = 4
    let rows = HeadRows(tensor: "model.layers.0.self_attn.k_proj.weight", configuration: configuration)
    #expect((0..<8).map { rows.place(inGGUF: $0) } == [0, 2, 1, 3, 4, 6, 5, 7])
    configuration.headDimension = 8
    let large = HeadRows(tensor: "model.layers.1.self_attn.q_proj.bias", configuration: configuration)
    #expect((0..<8).map { large.place(inCheckpoint: large.place(inGGUF: $0)) } == Array(0..<8))
    #expect((0..<8).map { large.place(inGGUF: $0) } == [0, 2, 4, 6, 1, 3, 5, 7])
    #expect(
      HeadRows(tensor: "model.layers.1.self_attn.v_proj.weight", configuration: configuration).isIdentity)
    configuration.family = .qwen3
    #expect(
      HeadRows(tensor: "model.layers.1.self_attn.q_proj.weight", configuration: configuration).isIdentity)
  }
}

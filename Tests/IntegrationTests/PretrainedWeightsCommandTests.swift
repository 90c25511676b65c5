import Foundation
import Harness
import LanguageModel
import Testing

/// `nl-tool model load`: weights under other names, by the program.
@Suite struct PretrainedWeightsCommandTests {
  @Test func byTheCommand() throws {
    let base = Fixtures.path("models/qwen2_f32")
    let scratch = try Scratch()
    let store = try ModelFolder(path: base).weights
    let items = try store.names.filter { !$0.hasPrefix("model.norm") }.map {
      SafetensorsItem(name: "net." + $0, tensor: try store.tensor($0).hostTensor())
    }
    let path = scratch.path("weights.safetensors")
    try SafetensorsWriter.write(items, to: path)
    let strict = try Program.tool.run([
      "model", "load", base, "--weights", path, "--map", "net.=", "--output", scratch.path("a"),
    ])
    #expect(strict.status != 0 && strict.errors.contains("model.norm.weight"), "\(strict.everything)")
    #expect(!FileManager.default.fileExists(atPath: scratch.path("a")))
    let lenient = try Program.tool.run([
      "model", "load", base, "--weights", path, "--map", "net.=", "--lenient", "--output", scratch.path("a"),
    ]).expectSuccess()
    #expect(lenient.output.contains("left as the base has them: model.norm.weight"), "\(lenient.output)")
  }
}

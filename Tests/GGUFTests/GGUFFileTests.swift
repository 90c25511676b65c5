import Foundation
import LanguageModel
import Testing

@testable import GGUF

func fixture(_ name: String) -> String {
  URL(filePath: #filePath).deletingLastPathComponent().path + "/Fixtures/" + name
}

/// A folder that is gone when the test is over.
final class TemporaryFolder {
  let path = FileManager.default.temporaryDirectory.path + "/nl-gguf-" + UUID().uuidString

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Data(bytes).write(to: URL(filePath: path + "/" + name))
    return path + "/" + name
  }
}

/// Runs `body`, which must fail with a ``ModelError`` whose text holds each of `parts`.
func expectError(
  _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let error = #expect(throws: ModelError.self, sourceLocation: sourceLocation) { try body() }
  for part in parts {
    #expect(
      error?.description.contains(part) == true, "\"\(error?.description ?? "")\"",
      sourceLocation: sourceLocation)
  }
}

/// The reader, on files that gguf-py has written and on what becomes of them.
@Suite struct GGUFFileTests {
  /// gguf.quants.dequantize of gguf 0.19, to the bit.
  @Test(arguments: GGUFTensorType.allCases) func decodesAsGGUFPy(type: GGUFTensorType) throws {
    let file = try GGUFFile(path: fixture("types.gguf"))
    let tensor = try #require(file.tensor(type.name))
    let expected = try SafetensorsFile(path: fixture("types.safetensors")).tensor(type.name).hostTensor()
    #expect(tensor.shape == expected.shape)
    #expect(tensor.type == type)
    #expect(file.floats(of: tensor).map(\.bitPattern) == expected.values.map(\.bitPattern))
  }

  /// Every half there is, against Swift's own conversion.
  @Test func halvesAreExact() {
    for bits in UInt16.min...UInt16.max {
      let value = BlockDecoder.half([UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)])
      let exponent = Int(bits >> 10 & 31)
      let fraction = Double(bits & 0x3FF)
      let magnitude =
        switch exponent {
        case 0: fraction * 0x1p-24
        case 31: fraction == 0 ? Double.infinity : .nan
        default: (1024 + fraction) * pow(2, Double(exponent - 25))
        }
      let expected = Float(bits & 0x8000 == 0 ? magnitude : -magnitude)
      #expect(value == expected || (value.isNaN && expected.isNaN), "\(bits)")
      #expect(value.isNaN || value.sign == expected.sign)
    }
  }

  @Test func metadataHaveTheirTypes() throws {
    let metadata = try GGUFFile(path: fixture("llama.gguf")).metadata
    #expect(try metadata.string("general.architecture") == "llama")
    #expect(try metadata.count("llama.embedding_length") == 32)
    #expect(try metadata.strings("tokenizer.ggml.tokens")?.prefix(3) == ["<unk>", "<s>", "</s>"])
    #expect(
      try metadata.floats("tokenizer.ggml.scores")?.count
        == metadata.integers("tokenizer.ggml.token_type")?.count)
    expectError("llama.gguf", "general.architecture", "a string") {
      _ = try metadata.count("general.architecture")
    }
  }

  /// A file that ends early is refused wherever it ends, and never read beyond its end.
  @Test func cutFilesAreRefused() throws {
    let folder = try TemporaryFolder()
    let whole = [UInt8](try Data(contentsOf: URL(filePath: fixture("types.gguf"))))
    for length in Array(0..<900) + [whole.count - 32] {
      let path = try folder.write("cut.gguf", Array(whole.prefix(length)))
      #expect(throws: ModelError.self, "\(length)") { try GGUFFile(path: path) }
    }
  }

  @Test func otherFilesAreNamed() throws {
    let folder = try TemporaryFolder()
    func refuses(_ bytes: [UInt8], _ part: String) throws {
      let path = try folder.write("x.gguf", bytes)
      expectError("x.gguf", part) { _ = try GGUFFile(path: path) }
    }
    let rest = [UInt8](repeating: 0, count: 40)
    try refuses(Array("PK\u{3}\u{4}".utf8) + rest, "does not begin with GGUF")
    try refuses(Array("tjgg".utf8) + rest, "before GGUF")
    try refuses(Array("GGUF".utf8) + [0, 0, 0, 3] + rest, "big-endian")
    try refuses(Array("GGUF".utf8) + [1, 0, 0, 0] + rest, "version 1")
    try refuses(
      Array("GGUF".utf8) + [3, 0, 0, 0] + [255, 255, 255, 255, 255, 255, 255, 127] + rest, "count")
  }

  /// Any byte changed: a clear error or a file whose tensors lie in it. Seeded by the place.
  @Test func changedBytesNeverTrap() throws {
    let folder = try TemporaryFolder()
    let whole = [UInt8](try Data(contentsOf: URL(filePath: fixture("types.gguf"))))
    for place in 0..<700 {
      var bytes = whole
      bytes[place] = UInt8(truncatingIfNeeded: (place &* 2_654_435_761) >> 8)
      let path = try folder.write("changed.gguf", bytes)
      guard let file = try? GGUFFile(path: path) else { continue }
      for tensor in file.tensors where tensor.type != nil {
        #expect(file.floats(of: tensor).count == tensor.count)
      }
    }
  }
}

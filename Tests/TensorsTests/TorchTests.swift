import Foundation
import Testing

@testable import Tensors

/// Outputs and gradients against PyTorch in float64 (Fixtures/torch.json, written by Fixtures/make_reference.py).
@Suite struct TorchTests {
  struct Case: Decodable {
    let inputs: [String: [Float]]
    let shapes: [String: [Int]]
    let weights: [Float]
    let output: [Double]
    let gradients: [String: [Double]]
  }

  static let tolerance = 1e-6

  static func load(_ name: String) throws -> Case {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/torch.json")
    let cases = try JSONDecoder().decode([String: Case].self, from: Data(contentsOf: file))
    return try #require(cases[name])
  }

  func expectTorch(
    _ name: String, _ operation: (Tape, [String: Variable]) throws -> Variable
  ) throws {
    let reference = try Self.load(name)
    let bench = try Bench(seed: 0)
    var variables: [String: Variable] = [:]
    for (key, values) in reference.inputs {
      variables[key] = try bench.variable(try #require(reference.shapes[key]), values)
    }
    let output = try operation(bench.tape, variables)
    try bench.backward(output, weights: reference.weights)
    #expect(relativeError(output.tensor.values, reference.output) < Self.tolerance)
    for (key, gradient) in reference.gradients {
      let error = relativeError(try #require(variables[key]).gradientValues(), gradient)
      #expect(error < Self.tolerance, "d\(key)")
    }
  }

  @Test func linear() throws {
    try expectTorch("linear") { tape, v in
      try tape.linear(
        #require(v["x"]), Matrix(#require(v["w"])), bias: v["bias"],
        lora: LoRA(a: #require(v["a"]), b: #require(v["b"]), scale: 2))
    }
  }

  @Test func rmsNorm() throws {
    try expectTorch("rms_norm") { tape, v in
      try tape.rmsNorm(#require(v["x"]), weight: #require(v["w"]), epsilon: 1e-6)
    }
  }

  @Test func gatedLinear() throws {
    try expectTorch("gated_linear") { tape, v in
      try tape.gatedLinear(gate: #require(v["gate"]), up: #require(v["up"]), Matrix(#require(v["w"])))
    }
  }

  @Test(arguments: [(name: "attention", window: nil), (name: "attention_window", window: 4)])
  func attention(_ which: (name: String, window: Int?)) throws {
    try expectTorch(which.name) { tape, v in
      try tape.attention(
        q: #require(v["q"]), k: #require(v["k"]), v: #require(v["v"]),
        layout: AttentionLayout(
          queryOffsets: [0, 9], keyOffsets: [0, 9], heads: 4, keyValueHeads: 2, dimension: 8,
          window: which.window))
    }
  }

  @Test func crossEntropy() throws {
    let reference = try Self.load("cross_entropy")
    let bench = try Bench(seed: 0)
    let x = try bench.variable([4, 10], #require(reference.inputs["x"]))
    let head = try bench.variable([31, 10], #require(reference.inputs["head"]))
    let loss = try bench.tape.crossEntropy(x, head: Matrix(head), labels: [2, 0, 30, 7])
    try bench.tape.backward()
    #expect(abs(loss - reference.output[0]) < 1e-6 * reference.output[0])
    for (key, variable) in [("x", x), ("head", head)] {
      let gradient = try #require(reference.gradients[key])
      #expect(relativeError(try variable.gradientValues(), gradient) < Self.tolerance, "d\(key)")
    }
  }
}

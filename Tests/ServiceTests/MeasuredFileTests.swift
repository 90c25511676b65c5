import Testing
import Training

@testable import Service

/// What was measured, as it is kept: read back as it was, and not at all if a byte is another.
@Suite struct MeasuredFileTests {
  static let values: [MeasuredValues] = [
    .importance(["model.layers.0.self_attn.q_proj": 0.1, "b c": .leastNonzeroMagnitude, "a": 0]),
    .tokenLosses([1.5, 0, .leastNonzeroMagnitude]), .tokenLosses([]),
    .squaredGradients(["b": [1, 2, 3], "a": [], "c d": [.greatestFiniteMagnitude]]),
    .texts([[1, 2, 151_000], [], [7]]), .texts([]),
  ]

  @Test(arguments: values) func readsBackWhatItWrote(values: MeasuredValues) {
    let bytes = MeasuredFile.bytes(values)
    #expect(MeasuredFile.values(bytes) == values)
    for place in bytes.indices {
      var damaged = bytes
      damaged[place] ^= 1
      #expect(MeasuredFile.values(damaged) == nil, "byte \(place)")
      #expect(MeasuredFile.values(Array(bytes[..<place])) == nil, "cut at \(place)")
    }
  }
}

import Testing
import WireProtocol

/// The codec against Vectors: byte for byte what PROTOCOL.md says, as a program that is not the encoder has written it
/// down (make_vectors.py).
@Suite struct VectorTests {
  private static let vectors = Result { try GoldenVector.all() }

  /// The messages mean what their header's rows say, and the encoder gives the same bytes for them: so no field of the
  /// body is lost, renamed, moved or written in another way.
  @Test(arguments: try vectors.get()) func sameBytes(vector: GoldenVector) throws {
    let (envelope, message) = try MessageDecoder.decode(frames: vector.frames)
    #expect(message.type.name == vector.messageName)
    #expect(vector.meanings["type \(message.type.rawValue)"] == vector.messageName)
    #expect(envelope.type == message.type && envelope.minor == vector.minor)
    #expect("\(envelope.work.run.value)" == vector.meanings["run"])
    #expect("\(envelope.work.term)" == vector.meanings["term"])
    #expect("\(envelope.session)" == vector.meanings["session"])
    #expect("\(envelope.sequence)" == vector.meanings["sequence"])
    #expect("\(envelope.correlation)" == vector.meanings["correlation"])
    let encoded = try EncodedMessage(message, envelope: envelope).frames
    #expect(encoded == vector.frames)
  }

  /// Every type that a version has is written down for it.
  @Test func everyType() throws {
    let written = Set(try Self.vectors.get().map(\.messageName))
    #expect(Set(MessageType.allCases.map(\.name)).subtracting(written) == [])
    #expect(Set(Samples.all.map(\.type.name)).subtracting(written) == [])
  }

  /// Values that the bytes of a RESULT stand for, read from the specification by hand.
  @Test func valuesOfAResult() throws {
    let vector = try #require(try Self.vectors.get().first { $0.name == "2.0/RESULT" })
    guard case .result(let result) = try MessageDecoder.decode(frames: vector.frames).1 else {
      return #expect(Bool(false), "not a result")
    }
    #expect(result.attempt == 9 && result.lossSum == 0.1 + 0.2 && result.tokens == 17)
    #expect(result.seconds == 0.25 && result.progress == 48)
    #expect(result.gradients.map(\.tier) == [0, 0, 2])
    #expect(result.gradients.map(\.microBatch) == [0, 1, nil])
    #expect(try result.gradients[0].values.floats() == [1, -0.0, .leastNonzeroMagnitude])
    #expect(try result.gradients[1].values.floats() == [.infinity])
  }
}

import Testing

@testable import LanguageModel

@Suite struct MicroBatchTests {
  /// PyTorch's rule of a causal model: position i is to predict token i+1, the last position of a row nothing.
  @Test func labelsAreTheNextTokens() {
    let batch = MicroBatch(rows: [[4, 5, 6], [], [7], [8, 9]])
    #expect(batch.tokens == [4, 5, 6, 7, 8, 9])
    #expect(batch.offsets == [0, 3, 3, 4, 6])
    #expect(batch.labels == [5, 6, -100, -100, 9, -100])
    #expect(batch.rowCount == 4)
    #expect(batch.trainedTokens == 3)
    #expect(batch.trainedPlaces == [0, 1, 4])
    #expect(throws: Never.self) { try batch.check(vocabulary: 10) }
    #expect(throws: BatchError.self) { try batch.check(vocabulary: 9) }
  }

  /// Every row's positions begin at 0, so that packing does not move a token.
  @Test func positionsBeginWithTheRow() throws {
    let model = try GoldenModel("llama").model(threads: 1)
    let pass = try ForwardPass(tape: model.tape, offsets: [0, 3, 3, 4, 6], rope: model.rope)
    #expect(pass.places.rows == [0, 0, 0, 2, 3, 3])
    #expect(pass.places.positions == [0, 1, 2, 0, 0, 1])
  }
}

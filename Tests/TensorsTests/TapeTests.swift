import Testing

@testable import Tensors

@Suite struct TapeTests {
  /// Without a variable that needs a gradient nothing is noted, and intermediate results go at once.
  @Test func constantsLeaveNoNotes() throws {
    var bench = try Bench(seed: 1)
    let memory = bench.tape.memory
    let weight = Matrix(Variable(try memory.tensor([8, 8], bench.floats(64))))
    var x = Variable(try memory.tensor([4, 8], bench.floats(32)))
    let held = memory.inUse
    for _ in 0..<5 { x = try bench.tape.linear(x, weight) }
    #expect(bench.tape.count == 0)
    #expect(memory.inUse == held)
  }

  /// Three layers; only the last has something to train: one note, and a gradient for nothing else.
  @Test func recordingBeginsAtTheLowestTrainedLayer() throws {
    var bench = try Bench(seed: 2)
    let memory = bench.tape.memory
    let frozen = Matrix(Variable(try memory.tensor([8, 8], bench.floats(64))))
    let trained = try bench.variable([8, 8], bench.floats(64))
    let x = Variable(try memory.tensor([4, 8], bench.floats(32)))
    let y = try bench.tape.linear(bench.tape.linear(bench.tape.linear(x, frozen), frozen), Matrix(trained))
    #expect(bench.tape.count == 1)
    try bench.backward(y, weights: bench.floats(32))
    #expect(bench.tape.count == 0)
    #expect(try trained.gradientValues().contains { $0 != 0 })
  }

  /// What a note holds goes back to the pool when it has been played.
  @Test func notesReleaseWhatTheyHold() throws {
    var bench = try Bench(seed: 3)
    let memory = bench.tape.memory
    let weight = try bench.variable([8, 8], bench.floats(64))
    let input = bench.floats(32)
    let seed = bench.floats(32)
    let held = memory.inUse
    do {
      var y = Variable(try memory.tensor([4, 8], input))
      for _ in 0..<5 { y = try bench.tape.linear(y, Matrix(weight)) }
      try bench.backward(y, weights: seed)
    }
    #expect(memory.inUse == held + 64 * 4, "the weight's gradient is all that is left")
  }

  /// The same bits with any number of threads, for shapes large enough to be split.
  @Test func threadsDoNotChangeBits() throws {
    func gradients(threads: Int) throws -> [[Float]] {
      var bench = try Bench(seed: 4, threads: threads)
      let (m, n, k) = (67, 300, 290)
      let x = try bench.variable([m, k], bench.floats(m * k))
      let w = try bench.variable([n, k], bench.floats(n * k))
      let a = try bench.variable([4, k], bench.floats(4 * k))
      let b = try bench.variable([4, n], bench.floats(4 * n))
      let y = try bench.tape.linear(x, Matrix(w), lora: LoRA(a: a, b: b, scale: 2))
      try bench.backward(y, weights: bench.floats(m * n))
      return [y.tensor.values] + (try [x, w, a, b].map { try $0.gradientValues() })
    }
    let one = try gradients(threads: 1)
    for threads in [2, 3, 5] { #expect(try gradients(threads: threads) == one) }
  }

  @Test func aPoolOfNoThreadsIsAnError() {
    #expect(throws: TensorError.threads(requested: 0)) { try ThreadPool(threads: 0) }
  }
}

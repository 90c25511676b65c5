import Harness
import Testing

@testable import Tensors

@Suite struct MemoryPoolTests {
  @Test func buffersAreAlignedDisjointAndReturned() throws {
    let pool = try MemoryPool()
    do {
      let tensors = try [1, 7, 16, 100, 3].map { try pool.tensor([$0]) }
      let ranges = tensors.map { tensor in
        tensor.withValues {
          UInt(bitPattern: $0.baseAddress)..<UInt(bitPattern: $0.baseAddress) + UInt($0.count * 4)
        }
      }
      for (i, range) in ranges.enumerated() {
        #expect(range.lowerBound % UInt(MemoryPool.alignment) == 0)
        for other in ranges[..<i] { #expect(!range.overlaps(other)) }
      }
      withExtendedLifetime(tensors) { #expect(pool.inUse >= 127 * 4) }
    }
    #expect(pool.inUse == 0)
  }

  @Test func aCopyKeepsTheBufferAlive() throws {
    let pool = try MemoryPool()
    var first: Tensor? = try pool.tensor([2, 3], [1, 2, 3, 4, 5, 6])
    let second = first?.reshaped([3, 2])
    first = nil
    #expect(pool.inUse == 64)
    #expect(second?.values == [1, 2, 3, 4, 5, 6])
  }

  /// Whatever the order of releases, free neighbours merge: afterwards one buffer of the whole size fits
  /// without growth.
  @Test(arguments: [UInt64(1), 2, 3, 4]) func freeNeighboursMerge(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let pool = try MemoryPool()
    var held: [Tensor] = []
    for _ in 0..<500 {
      if !held.isEmpty, Bool.random(using: &random) {
        held.swapAt(Int.random(in: 0..<held.count, using: &random), held.count - 1)
        held.removeLast()
      } else {
        held.append(try pool.tensor([Int.random(in: 1...5000, using: &random)]))
      }
    }
    held.shuffle(using: &random)
    while held.popLast() != nil {}
    let highWater = pool.highWater
    #expect(pool.inUse == 0, "seed \(seed)")
    _ = try pool.tensor([highWater / 4])
    #expect(pool.highWater == highWater, "seed \(seed)")
  }

  @Test func tooMuchIsAnError() throws {
    let pool = try MemoryPool()
    #expect(throws: TensorError.self) { try pool.tensor([1 << 45]) }
    #expect(try pool.tensor([10]).count == 10, "the pool goes on")
  }

  /// 50 steps of varying shapes, the largest among the first: the pool does not grow after it. That the process does
  /// not is tested where it is one of its own, in IntegrationTests.
  @Test func doesNotGrow() throws {
    var bench = try Bench(seed: 20)
    let n = 256
    let weight = Matrix(try bench.variable([n, n], bench.floats(n * n)))
    func step(_ rows: Int) throws {
      let x = Variable(try bench.tape.memory.tensor([rows, n], [Float](repeating: 0.5, count: rows * n)))
      var y = x
      for _ in 0..<6 { y = try bench.tape.add(try bench.tape.linear(y, weight), y) }
      let labels = (0..<rows).map { Int32($0 % n) }
      _ = try bench.tape.crossEntropy(y, head: weight, labels: labels)
      try bench.tape.backward()
      #expect(try #require(weight.gradient?.take()).shape == [n, n])
    }
    try step(2000)
    try step(2000)
    let (highWater, idle) = (bench.tape.memory.highWater, bench.tape.memory.inUse)
    for _ in 0..<50 {
      try step(Int.random(in: 1...2000, using: &bench.random))
      #expect(bench.tape.memory.inUse == idle, "a step gives everything back")
    }
    #expect(bench.tape.memory.highWater == highWater)
  }
}

import Foundation
import Testing
import WireProtocol

@testable import Coordination

/// What the ledger keeps of each counted shard, and what a comparison with it says.
@Suite struct ShardDigestTests {
  private func result(
    _ objects: [(String, String)], loss: Double = 1.5, tokens: Int = 7, attempt: Int = 1, seconds: Double = 1
  ) -> ResultSummary {
    ResultSummary(
      attempt: attempt, lossSum: loss, tokens: tokens, seconds: seconds,
      objects: objects.map { ResultSummary.Object(name: $0.0, sha256: $0.1, byteCount: 4) })
  }

  /// The reference is coreutils' sha256sum over the text that the documentation gives.
  @Test func isTheDigestOfTheDocumentedText() throws {
    let digest = ShardDigest(result([("tier.1", "bb"), ("tier.0", "aa")]))
    let text = "tier.0 aa\ntier.1 bb\nloss 3ff8000000000000\ntokens 7\n"
    let process = Process()
    let (input, output) = (Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
    (process.standardInput, process.standardOutput) = (input, output)
    try process.run()
    input.fileHandleForWriting.write(Data(text.utf8))
    try input.fileHandleForWriting.close()
    let expected = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).prefix(
      32)
    process.waitUntilExit()
    #expect("\(digest)" == expected)
    #expect(ShardDigest(bytes: digest.bytes) == digest)
    #expect(ShardDigest(bytes: digest.bytes.dropLast()) == nil)
  }

  /// It is equal exactly where `ResultSummary.agrees` says that two results are: the attempt and the time that it took do
  /// not count, everything else does.
  @Test func isEqualWhereResultsAgree() {
    let base = result([("a", "1"), ("b", "2")])
    let others = [
      result([("b", "2"), ("a", "1")], attempt: 9, seconds: 4), result([("a", "1"), ("b", "3")]),
      result([("a", "1"), ("c", "2")]), result([("a", "1")]),
      result([("a", "1"), ("b", "2")], loss: 1.5.nextUp),
      result([("a", "1"), ("b", "2")], loss: -1.5), result([("a", "1"), ("b", "2")], tokens: 8),
    ]
    for other in others { #expect((ShardDigest(base) == ShardDigest(other)) == base.agrees(with: other)) }
    #expect(others.filter { ShardDigest($0) == ShardDigest(base) }.count == 1)
    #expect(ShardDigest(result([], loss: 0)) != ShardDigest(result([], loss: -0.0)))
  }

  private func shard(_ leaves: Range<Int>, _ word: String, by identity: String, tiers: [Int] = [0, 1])
    -> ComputedShard
  {
    ComputedShard(
      leaves: leaves, tiers: tiers, digest: ShardDigest(result([("a", word)])), identity: identity)
  }

  @Test func namesTheShardThatDiffers() {
    let recorded = [
      shard(0..<2, "x", by: "k1"), shard(2..<3, "y", by: "k2"), shard(3..<4, "z", by: "k3", tiers: [0]),
    ]
    let again = [
      shard(0..<2, "x", by: "k9"), shard(2..<3, "w", by: "k9"), shard(3..<4, "z", by: "k9", tiers: [0, 1]),
    ]
    let comparison = ShardComparison(recorded: recorded, again: again)
    #expect(comparison.differences == [.init(recorded: recorded[1], again: again[1])])
    #expect(comparison.unknown == [recorded[2]], "it was cut by other tiers")
    #expect("\(recorded[1])" == "micro-batch 2, tiers 0, 1, by k2")
    #expect(ShardComparison(recorded: recorded, again: recorded).differences.isEmpty)
  }
}

import Digests
import WireProtocol

/// What the ledger keeps of a counted result for ever: 16 bytes, equal for results that say the same.
///
/// They are the first 16 of SHA-256 over this text: for each gradient of the result's `word`, by the UTF-8 bytes of the
/// names, `<name> <sha256>` and a line feed; then `loss <the bit pattern of lossSum, 16 hex digits>` and a line feed;
/// where there are sums of an objective, `terms <the bit patterns of replay, divergence and objective>` and a line feed;
/// then `tokens <decimal>` and a line feed; where right tokens were counted, `correct <decimal>` and a line feed. Names
/// have no line feeds.
public struct ShardDigest: Sendable, Hashable {
  public static let byteCount = 16
  public let bytes: [UInt8]

  public init(_ result: ResultSummary) {
    var digest = DigestBuilder()
    for (name, sha256) in result.word.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      digest.update("\(name) \(sha256)\n")
    }
    digest.update("loss \(Self.hexadecimal(result.lossSum.bitPattern))\n")
    if let terms = result.terms {
      digest.update("terms \(terms.bitPatterns.map(Self.hexadecimal).joined(separator: " "))\n")
    }
    digest.update("tokens \(result.tokens)\n")
    if let correct = result.correct { digest.update("correct \(correct)\n") }
    bytes = Self.firstBytes(ofHexadecimal: digest.finish())
  }

  /// A digest that was kept; nil unless it is 16 bytes.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = Array(bytes)
  }

  private static func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }

  private static func firstBytes(ofHexadecimal text: String) -> [UInt8] {
    let digits = text.utf8.prefix(2 * byteCount).map { $0 < 0x3A ? $0 &- 0x30 : $0 &- 0x57 }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

extension ShardDigest: CustomStringConvertible {
  public var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

/// A shard of a step with what somebody computed for it. The micro-batches and tiers identify it: nodes of the tree
/// that cover the same ones give the same sum.
public struct ComputedShard: Sendable, Hashable {
  public let leaves: Range<Int>
  /// Ascending.
  public let tiers: [Int]
  public let digest: ShardDigest
  /// Who computed it, beyond connections and terms.
  public let identity: String

  public init(leaves: Range<Int>, tiers: [Int], digest: ShardDigest, identity: String) {
    self.leaves = leaves
    self.tiers = tiers
    self.digest = digest
    self.identity = identity
  }

  package func isSameShard(as other: ComputedShard) -> Bool { leaves == other.leaves && tiers == other.tiers }
}

extension ComputedShard: CustomStringConvertible {
  /// Its micro-batches and tiers, for people.
  package var place: String {
    let batches =
      leaves.count == 1
      ? "micro-batch \(leaves.lowerBound)" : "micro-batches \(leaves.lowerBound) to \(leaves.upperBound - 1)"
    return batches + (tiers.isEmpty ? "" : ", tiers \(tiers.map(String.init).joined(separator: ", "))")
  }

  public var description: String { "\(place), by \(identity.isEmpty ? "an unknown worker" : identity)" }
}

/// Which shards of a step that was computed again differ from those that it was committed from.
public struct ShardComparison: Sendable, Hashable {
  public struct Difference: Sendable, Hashable {
    public let recorded: ComputedShard
    public let again: ComputedShard
  }

  /// In the order of the record.
  public let differences: [Difference]
  /// Recorded shards that nobody computed again as they were cut then, so that nothing is known of them.
  public let unknown: [ComputedShard]

  /// - Parameters:
  ///   - recorded: the shards that the step was committed from.
  ///   - again: results for its shards now; several for one shard are each compared.
  public init(recorded: [ComputedShard], again: [ComputedShard]) {
    var differences: [Difference] = []
    var unknown: [ComputedShard] = []
    for shard in recorded {
      let results = again.filter(shard.isSameShard)
      if results.isEmpty { unknown.append(shard) }
      differences += results.filter { $0.digest != shard.digest }.map {
        Difference(recorded: shard, again: $0)
      }
    }
    self.differences = differences
    self.unknown = unknown
  }
}

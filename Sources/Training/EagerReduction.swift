import Coordination
import NestedLearning
import WireProtocol

/// The sums of one step's gradients, made while others are still awaited: two children of a node of the fixed tree are
/// added as soon as both are here, whichever came first. What was added is not kept, so that few results are held at
/// once; the bits are those of adding everything at the end.
struct EagerReduction {
  /// What there is of one tier over a node.
  private struct Part {
    enum Values {
      case object(WireObject)
      case sum([Float])
    }

    var values: Values
    /// Whose results these are.
    var attempts: [Int]
  }

  let step: Int
  /// Micro-batches of the step.
  private let count: Int
  private let root: TreeNode
  /// By tier, the sums whose siblings have not come.
  private var parts: [Int: [TreeNode: Part]] = [:]
  /// By attempt: whose results lie in the sums, and the other way round.
  private var shards: [Int: Shard] = [:]
  private var attempts: [Shard: Int] = [:]
  /// By attempt: other results for shards that lie in the sums. It is not decided yet which are right.
  private var spares: [Int: (message: ResultMessage, shard: Shard)] = [:]

  init(step: Int, count: Int) {
    self.step = step
    self.count = count
    root = TreeNode.root(count: count).canonical(count: count)
  }

  /// Results whose bytes are held by themselves, and sums.
  var heldCount: Int { (parts.values.map(\.count).max() ?? 0) + spares.count }

  /// - Throws: `ReductionError` if the shard overlaps with another, `TrainingError` if a gradient is missing.
  mutating func take(_ message: ResultMessage, of shard: Shard) throws {
    guard attempts[shard] == nil else {
      spares[message.attempt] = (message, shard)
      return
    }
    attempts[shard] = message.attempt
    shards[message.attempt] = shard
    for tier in shard.tiers {
      let values = try message.gradient(tier: tier, microBatch: nil).values
      try add(Part(values: .object(values), attempts: [message.attempt]), at: shard.node, tier: tier)
    }
  }

  /// Drops a result. If it lies in a sum, all that were added to it go with it, as bytes cannot be taken out again.
  mutating func discard(_ attempt: Int) throws {
    guard spares.removeValue(forKey: attempt) == nil else { return }
    var toGo = [attempt]
    var gone = Set<Shard>()
    while let next = toGo.popLast() {
      guard let shard = shards.removeValue(forKey: next) else { continue }
      attempts[shard] = nil
      gone.insert(shard)
      for tier in shard.tiers { toGo += removePart(of: next, at: shard.node, tier: tier) }
    }
    for (attempt, spare) in spares.sorted(by: { $0.key < $1.key })
    where gone.contains(spare.shard) && attempts[spare.shard] == nil {
      spares[attempt] = nil
      try take(spare.message, of: spare.shard)
    }
  }

  /// The sum over all micro-batches; nil if these are not the results that it was made of.
  func total(tier: Int, of results: [UnitResult]) throws -> [Float]? {
    guard Set(shards.keys) == Set(results.map(\.message.attempt)), let parts = parts[tier], parts.count == 1,
      let whole = parts[root]
    else { return nil }
    switch whole.values {
    case .object(let object): return try object.floats()
    case .sum(let total): return total
    }
  }

  private mutating func removePart(of attempt: Int, at start: TreeNode, tier: Int) -> [Int] {
    var node = start.canonical(count: count)
    while parts[tier]?[node]?.attempts.contains(attempt) != true {
      guard node != root else { return [] }
      node = node.family(count: count).parent
    }
    return parts[tier]?.removeValue(forKey: node)?.attempts ?? []
  }

  private mutating func add(_ part: Part, at node: TreeNode, tier: Int) throws {
    var (part, node) = (part, node.canonical(count: count))
    while node != root {
      let family = node.family(count: count)
      let isLeft = family.left == node
      guard var sibling = parts[tier, default: [:]].removeValue(forKey: isLeft ? family.right : family.left)
      else { break }
      if isLeft {
        try Self.add(sibling, to: &part)
      } else {
        try Self.add(part, to: &sibling)
        part = sibling
      }
      node = family.parent
    }
    guard parts[tier, default: [:]].updateValue(part, forKey: node) == nil else {
      throw ReductionError.twice(node)
    }
  }

  private static func add(_ right: Part, to left: inout Part) throws {
    var sum = try take(&left.values)
    switch right.values {
    case .object(let object): try object.withFloats { Vectors.add($0, to: &sum) }
    case .sum(let values): Vectors.add(values, to: &sum)
    }
    left.values = .sum(sum)
    left.attempts += right.attempts
  }

  /// The values, held by nobody else any more, so that they are added to where they lie.
  private static func take(_ values: inout Part.Values) throws -> [Float] {
    defer { values = .sum([]) }
    switch values {
    case .object(let object): return try object.floats()
    case .sum(let sum): return sum
    }
  }
}

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
      case sum(LargeMemory)

      func withFloats<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) throws -> R {
        switch self {
        case .object(let object): try object.withFloats(body)
        case .sum(let sum): try body(UnsafeBufferPointer(sum.floats))
        }
      }
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
  mutating func take(_ message: consuming ResultMessage, of shard: Shard) throws {
    let attempt = message.attempt
    guard attempts[shard] == nil else {
      spares[attempt] = (message, shard)
      return
    }
    attempts[shard] = attempt
    shards[attempt] = shard
    var gradients = try shard.tiers.map { try message.gradient(tier: $0, microBatch: nil) }
    // Each tier's bytes go once they are added up, if nobody else holds them.
    message.gradients = []
    while let gradient = gradients.popLast() {
      let part = Part(values: .object(gradient.values), attempts: [attempt])
      try add(part, at: shard.node, tier: gradient.tier)
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

  /// Lends the sum over all micro-batches.
  ///
  /// - Returns: whether there is one; not if these are not the results that it was made of.
  func withTotal(
    tier: Int, of results: [UnitResult], _ body: (UnsafeBufferPointer<Float>) throws -> Void
  ) throws -> Bool {
    guard Set(shards.keys) == Set(results.map(\.message.attempt)), let parts = parts[tier], parts.count == 1,
      let whole = parts[root]
    else { return false }
    try whole.values.withFloats(body)
    return true
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

  /// Adds to a sum where it lies. Which of two numbers comes first changes no bit of what they add up to.
  private static func add(_ right: Part, to left: inout Part) throws {
    let (sum, other) =
      switch (left.values, right.values) {
      case (.sum(let sum), let other), (let other, .sum(let sum)): (sum, other)
      // What came is what its digest says, and stays so.
      case (.object(let object), let other): (LargeMemory(copying: object), other)
      }
    try other.withFloats {
      guard $0.count == sum.floats.count else {
        throw TrainingError("\($0.count) values came to be added to \(sum.floats.count)")
      }
      Vectors.add($0, to: sum.floats)
    }
    left.values = .sum(sum)
    left.attempts += right.attempts
  }
}

extension LargeMemory {
  fileprivate convenience init(copying object: WireObject) {
    self.init(byteCount: object.byteCount)
    object.withUnsafeBytes { bytes.copyMemory(from: $0) }
  }
}

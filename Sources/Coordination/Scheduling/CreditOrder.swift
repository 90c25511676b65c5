import NestedLearning

/// Which results may be on their way to a coordinator that adds them up as they come, so that it holds few at once.
///
/// Two children of a node of the fixed tree are added as soon as both are here. What is here thus lies in sums, one for
/// each full node whose sibling lacks something, and how many there are depends on the order in which results come: in
/// ascending order at most one for each level. Any order is let happen that can still be completed within the budget,
/// in ascending order from then on. So there is always one that may come, and what is late holds others up only once
/// the budget is used up: of 64 shards 22 come before that at least.
///
/// Shards are known by their place in the unit. Those of the same tiers make up a tree of their own.
struct CreditOrder: Sendable {
  enum State: Sendable {
    case absent
    /// Its bytes are on their way, and have room of their own.
    case open
    case here
  }

  /// What lies under a node, counted in results.
  private struct Branch: Sendable {
    /// Sums, and results that are on their way.
    var held = 0
    /// The most that there will be if what is absent comes in ascending order after that, whatever becomes of what is on
    /// its way: it may be here by then, or have to come once more.
    var peak = 1
    var isHere = false

    init(_ state: State) {
      held = state == .absent ? 0 : 1
      isHere = state == .here
    }

    /// A node above two others.
    init(_ left: Branch, _ right: Branch) {
      isHere = left.isHere && right.isHere
      held = isHere ? 1 : left.held + right.held
      peak = isHere ? 1 : max(left.peak + right.held, 1 + right.peak)
    }
  }

  /// Shards of the same tiers.
  private struct Group: Sendable {
    /// Of one result.
    let bytes: Int
    var places: [TreeNode: Int] = [:]
    var branches: [TreeNode: Branch] = [:]
  }

  /// Results that may be on their way beside the next one.
  private static let spare = 1

  /// Bytes of sums, of results on their way and of those that wait to be added up, that there are at most.
  private(set) var budget = 0
  private let leafCount: Int
  private let root: TreeNode
  private var groups: [Group] = []
  /// By place: group and node.
  private var shards: [(group: Int, node: TreeNode)] = []
  private var states: [State]
  private var openCount = 0
  /// Over all groups, in bytes.
  private var held = 0
  private var peak = 0
  /// Whether all results together would not be within the budget.
  private let isTight: Bool
  /// What sums will leave free that are not made yet, in bytes, by the attempt that completed them, and of all of them.
  private var unmade: [Int: Int] = [:]
  private var unmadeBytes = 0
  /// No place before it is absent.
  private var firstAbsent = 0

  /// - Parameters:
  ///   - tierBytes: of a gradient, by tier.
  ///   - minimum: a budget that results may take however many they are, in bytes.
  /// - Returns: nil if the shards do not make up whole trees; then there is no order to keep.
  init?(_ shards: [Shard], leafCount: Int, tierBytes: [Int], minimum: Int) {
    self.leafCount = leafCount
    root = TreeNode.root(count: leafCount).canonical(count: leafCount)
    states = Array(repeating: .absent, count: shards.count)
    var numbers: [[Int]: Int] = [:]
    for (place, shard) in shards.enumerated() {
      let number = numbers[shard.tiers] ?? groups.count
      if number == groups.count {
        numbers[shard.tiers] = number
        let tiers = shard.tiers.filter(tierBytes.indices.contains)
        groups.append(Group(bytes: tiers.reduce(0) { $0 + tierBytes[$1] }))
      }
      let node = shard.node.canonical(count: leafCount)
      guard groups[number].places.updateValue(place, forKey: node) == nil else { return nil }
      self.shards.append((number, node))
    }
    var all = 0
    for number in groups.indices {
      guard let whole = Self.build(root, leafCount, &groups[number]) else { return nil }
      let (branches, places) = (groups[number].branches, groups[number].places)
      guard places.keys.allSatisfy({ branches[$0] != nil }) else { return nil }
      peak += whole.peak * groups[number].bytes
      budget += (whole.peak + Self.spare) * groups[number].bytes
      all += places.count * groups[number].bytes
    }
    budget = max(budget, minimum)
    isTight = all > budget
  }

  private static func build(_ node: TreeNode, _ count: Int, _ group: inout Group) -> Branch? {
    var branch = Branch(.absent)
    if group.places[node] == nil {
      guard node.level > 0, let left = build(node.left.canonical(count: count), count, &group),
        let right = build(node.right.canonical(count: count), count, &group)
      else { return nil }
      branch = Branch(left, right)
    }
    group.branches[node] = branch
    return branch
  }

  func state(_ place: Int) -> State { states[place] }

  /// Whether any result at all may be let come; to be asked before `mayOpen`, which takes a little longer.
  var hasRoom: Bool {
    isNextAlone || held + unmadeBytes + (groups.map(\.bytes).min() ?? 0) <= budget
  }

  /// Whether nothing is on its way, and no sum is being made: then the next one always has room.
  private var isNextAlone: Bool { openCount == 0 && unmadeBytes == 0 }

  /// Whether the result of a shard may be let come now.
  func mayOpen(_ place: Int) -> Bool {
    guard states[place] == .absent else { return false }
    if isNextAlone && place == firstAbsent { return true }
    let (number, node) = shards[place]
    let bytes = groups[number].bytes
    guard held + unmadeBytes + bytes <= budget, let last = path(from: node, .open, in: number).last?.branch,
      let whole = groups[number].branches[root]
    else { return false }
    return peak + (last.peak - whole.peak) * bytes <= budget
  }

  mutating func set(_ place: Int, _ state: State) {
    openCount += (state == .open ? 1 : 0) - (states[place] == .open ? 1 : 0)
    states[place] = state
    let (number, node) = shards[place]
    let bytes = groups[number].bytes
    let before = groups[number].branches[root] ?? Branch(.absent)
    for (node, branch) in path(from: node, state, in: number) { groups[number].branches[node] = branch }
    let after = groups[number].branches[root] ?? before
    held += (after.held - before.held) * bytes
    peak += (after.peak - before.peak) * bytes
    if state == .absent { firstAbsent = min(firstAbsent, place) }
    while firstAbsent < states.count, states[firstAbsent] != .absent { firstAbsent += 1 }
  }

  /// The result of a shard is here, under an attempt. What the sums that it completes leave free is so once they are made.
  ///
  /// - Returns: whether it is to be said when they are, by `added`.
  mutating func came(_ place: Int, attempt: Int) -> Bool {
    // It takes room of its own before that, also one that came without being asked for.
    if states[place] == .absent { set(place, .open) }
    let before = held
    set(place, .here)
    guard isTight, held < before else { return false }
    unmade[attempt] = before - held
    unmadeBytes += before - held
    return true
  }

  /// The sums that an attempt completed are made, or it is part of none.
  mutating func added(_ attempt: Int) { unmadeBytes -= unmade.removeValue(forKey: attempt) ?? 0 }

  /// The shards whose results lie in the same sum as that of this one, which is among them. All of them are gone with it.
  func sharingSum(with place: Int) -> [Int] {
    guard states[place] == .here else { return [] }
    let (number, node) = shards[place]
    var top = node
    while top != root {
      let parent = top.family(count: leafCount).parent
      guard groups[number].branches[parent]?.isHere == true else { break }
      top = parent
    }
    return places(under: top, in: groups[number]).sorted()
  }

  private func places(under node: TreeNode, in group: Group) -> [Int] {
    if let place = group.places[node] { return [place] }
    guard node.level > 0 else { return [] }
    return places(under: node.left.canonical(count: leafCount), in: group)
      + places(under: node.right.canonical(count: leafCount), in: group)
  }

  /// The branches from a shard's node up to the root, as they would be with the shard in this state.
  private func path(
    from start: TreeNode, _ state: State, in number: Int
  ) -> [(node: TreeNode, branch: Branch)] {
    let branches = groups[number].branches
    var (node, branch) = (start, Branch(state))
    var path = [(node, branch)]
    while node != root {
      let family = node.family(count: leafCount)
      let isLeft = family.left == node
      guard let other = branches[isLeft ? family.right : family.left] else { break }
      branch = isLeft ? Branch(branch, other) : Branch(other, branch)
      node = family.parent
      path.append((node, branch))
    }
    return path
  }
}

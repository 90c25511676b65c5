/// Workers with keys.
extension Scenario {
  /// Most workers have keys, some of them the same; some keys come to the list later, or are struck off for a time.
  mutating func addKeys(using random: inout SplitMix64) {
    for place in workers.indices where !workers[place].isLocal && workers[place].key == nil {
      guard random.chance(0.8) else { continue }
      workers[place].key = Self.key(place)
      addTwins(of: place, using: &random)
    }
    for key in Set(workers.compactMap(\.key)).sorted() {
      keys[key] = random.chance(0.2) ? Double.random(in: 0...faultsUntil, using: &random) : 0
    }
    if random.chance(0.5) { workersOfKey = Int.random(in: 1...2, using: &random) }
    if random.chance(0.7) { incidents.append(.keyStruck) }
  }

  /// More workers of one key, as of several machines of one owner: none of them can be the second who comes to a result.
  private mutating func addTwins(of place: Int, using random: inout SplitMix64) {
    guard random.chance(0.3) else { return }
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      workers.append(
        WorkerPlan(
          key: workers[place].key, starts: random.chance(0.5) ? Double.random(in: 0...10, using: &random) : 0)
      )
    }
  }

  /// Workers with a valid key that say in HELLO what they like, and as often as they like.
  mutating func addHostileHellos(using random: inout SplitMix64) {
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      let key = Self.key(workers.count)
      workers.append(
        WorkerPlan(
          key: key, altersHello: random.logarithmic(0.1...1), repeatsHello: random.logarithmic(0.01...0.5)))
      keys[key] = 0
    }
    if random.chance(0.8) { incidents += [.helloFlood, .helloFlood] }
  }

  /// As long as a public key.
  private static func key(_ place: Int) -> String {
    "key" + String(repeating: "0", count: 33) + String(1000 + place)
  }
}

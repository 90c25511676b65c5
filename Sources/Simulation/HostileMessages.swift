import WireProtocol

/// What a worker with a valid key may say instead of what its program says: any field is changed before the message is
/// encoded, so that checksums, session and sequence are right. Values of gradients and losses stay as they are: whether
/// these are true is for verification to find (`Lie`).
extension Message {
  /// - Returns: nil if there is nothing in it to change.
  func altered(using random: inout SplitMix64) -> Message? {
    switch self {
    case .ready(var ready):
      // It is sent away for that, and then says nothing more.
      guard random.chance(0.05) else { return nil }
      ready.modelSHA256 = String(repeating: "e", count: 64)
      return .ready(ready)
    case .accept(var accept):
      accept.attempt = random.alter(accept.attempt)
      return .accept(accept)
    case .decline(var decline):
      decline.attempt = random.alter(decline.attempt)
      return .decline(decline)
    case .leaseRenew(var renew):
      if random.chance(0.5) {
        renew.attempt = random.alter(renew.attempt)
      } else {
        renew.progress = random.alter(renew.progress)
      }
      return .leaseRenew(renew)
    case .cancelled(var cancelled):
      cancelled.attempt = random.alter(cancelled.attempt)
      return .cancelled(cancelled)
    case .error(var error):
      error.attempt = random.chance(0.5) ? nil : random.alter(error.attempt ?? 0)
      return .error(error)
    case .result(let result): return .result(result.altered(using: &random))
    default: return nil
    }
  }
}

extension ResultMessage {
  fileprivate func altered(using random: inout SplitMix64) -> ResultMessage {
    var result = self
    switch Int.random(in: 0..<9, using: &random) {
    case 0: result.attempt = random.alter(attempt)
    case 1: result.tokens = random.alter(tokens)
    case 2: result.seconds = [0, 1e308, 1e-300, 3600].randomElement(using: &random) ?? 0
    case 3: result.progress = random.alter(progress)
    case 4: result.gradients = Array(gradients.dropLast())
    case 5: result.gradients += gradients.suffix(1)
    case 6: result.windows = Array(windows.dropFirst())
    case 7:
      result.digests = digests.map {
        var digest = $0
        digest.byteCount = random.alter($0.byteCount)
        return digest
      }
    default: result.windows = windows.map { $0.altered(using: &random) }
    }
    return result
  }
}

extension WindowReport {
  fileprivate func altered(using random: inout SplitMix64) -> WindowReport {
    let wrong = String(repeating: "f", count: 64)
    let field = Int.random(in: 0..<5, using: &random)
    return WindowReport(
      tier: field == 0 ? random.alter(tier) : tier, microBatch: microBatch,
      first: field == 1 ? random.alter(first) : first, last: field == 2 ? random.alter(last) : last,
      chain: field == 3 ? (chain == nil ? wrong : nil) : chain,
      gradient: field == 4 ? wrong : gradient)
  }
}

extension SplitMix64 {
  /// Another number, near or at an end of what a number can be.
  fileprivate mutating func alter(_ number: Int) -> Int {
    let others = [
      number &+ 1, number &- 1, 0, 1, 2 * (number & 0xFFFF), 4096, 1 << 31, 1 << 53 - 1, Int.max,
    ].filter { $0 != number && $0 >= 0 }
    return others.randomElement(using: &self) ?? number &+ 1
  }
}

extension Simulation {
  /// All that are in a session say that they are there, as often as the wires take it.
  func burst() {
    for place in workers.indices where workers[place].isAlive && workers[place].frozenUntil <= now {
      guard workers[place].route != nil, workers[place].core.session != .none else { continue }
      for _ in 0..<200 {
        guard send(.ping, from: place) == nil else { break }
        outcome.count("messages of bursts")
      }
    }
  }

  /// What a worker says in place of a message.
  func alter(_ message: Message, from place: Int) -> Message? {
    if case .hello(let hello) = message, workers[place].plan.altersHello > 0 {
      return alter(hello, from: place)
    }
    guard isFaulty, random.chance(workers[place].plan.alters),
      let altered = message.altered(using: &random)
    else { return nil }
    outcome.count(.messageAltered)
    note("worker \(place) alters \(message.line)")
    liars.insert(workers[place].identity)
    return altered
  }
}

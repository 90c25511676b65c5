import Randomness
import Synchronization

/// Random orders of rows, one for each pass. The last one is remembered: that is no part of what it gives.
final class RowDecks: Sendable {
  private let seed: UInt64
  private let deck: UInt64
  private let known = Mutex<(pass: Int, order: [UInt32])?>(nil)

  init(seed: UInt64, deck: Int) {
    self.seed = seed
    self.deck = UInt64(deck)
  }

  /// The numbers 0 ..< count in the order of a pass.
  func order(count: Int, pass: Int) -> [UInt32] {
    known.withLock { known in
      if let known, known.pass == pass, known.order.count == count { return known.order }
      let order = CounterRandom.order(count: count, seed: seed, .rowDeck, UInt64(pass), deck)
      known = (pass, order)
      return order
    }
  }
}

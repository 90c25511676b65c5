import Coordination

/// What will happen, by time; at the same time, by priority, then in the order in which it was added.
struct EventQueue<Event> {
  private struct Key {
    let time: Instant
    /// Lower comes first: a loop that was held up reads its messages before it looks at its timer.
    let rank: UInt64
    let slot: Int

    static func < (a: Key, b: Key) -> Bool { (a.time, a.rank) < (b.time, b.rank) }
  }

  private var heap: [Key] = []
  private var slots: [Event?] = []
  private var free: [Int] = []
  private var added: UInt64 = 0

  /// The most entries that were ever there at once.
  private(set) var peak = 0
  var count: Int { heap.count }

  /// - Parameter isTimer: comes after everything else of the same time.
  mutating func add(_ event: Event, at time: Instant, isTimer: Bool = false) {
    let slot = free.popLast() ?? slots.count
    if slot == slots.count { slots.append(event) } else { slots[slot] = event }
    added += 1
    heap.append(Key(time: time, rank: (isTimer ? 1 << 63 : 0) | added, slot: slot))
    peak = max(peak, heap.count)
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func next() -> (time: Instant, event: Event)? {
    guard let first = heap.first, let event = slots[first.slot] else { return nil }
    slots[first.slot] = nil
    free.append(first.slot)
    let last = heap.removeLast()
    guard !heap.isEmpty else { return (first.time, event) }
    heap[0] = last
    sink()
    return (first.time, event)
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      guard heap[child] < heap[parent] else { break }
      heap.swapAt(child, parent)
      parent = child
    }
  }
}

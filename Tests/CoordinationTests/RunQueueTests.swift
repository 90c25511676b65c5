import Testing
import WireProtocol

@testable import Coordination

/// Whose turn it is of several runs: held to what `nl-coord train --parallel-runs` promises.
@Suite struct RunQueueTests {
  private let a = RunNumber(1)
  private let b = RunNumber(2)
  private let c = RunNumber(3)

  private func all(_ queue: inout RunQueue) -> [RunNumber] {
    var taken: [RunNumber] = []
    while let run = queue.next() { taken.append(run) }
    return taken
  }

  @Test func soManyTogetherInTheirOrder() {
    var queue = RunQueue([a, b, c], parallel: 2)
    #expect(all(&queue) == [a, b] && queue.notBegun == [a, b, c])
    let begins = [queue.begins(b), queue.begins(a)]
    #expect(begins == [true, true] && all(&queue) == [] && queue.notBegun == [c])
    queue.ended(b, sendsAway: true)
    #expect(all(&queue) == [c] && !queue.isOver)
    _ = queue.begins(c)
    queue.ended(a, sendsAway: true)
    queue.ended(c, sendsAway: false)
    #expect(queue.isOver && !queue.sendsAway)
  }

  /// What a run measures, another needs: that one is the next, before those that wait, and not before it is over.
  @Test func oneIsHeldUntilAnotherIsOver() {
    var queue = RunQueue([a, b], parallel: 2)
    #expect(all(&queue) == [a, b])
    queue.hold(a, until: c)
    let begins = [queue.begins(c), queue.begins(b)]
    #expect(begins == [true, true] && queue.notBegun == [a])
    #expect(queue.held(until: c) == a && queue.measurement(for: a) == c)
    queue.ended(b, sendsAway: true)
    #expect(all(&queue) == [] && !queue.isOver)
    queue.ended(c, sendsAway: true)
    #expect(all(&queue) == [a])
    _ = queue.begins(a)
    queue.ended(a, sendsAway: true)
    #expect(queue.isOver)
  }

  /// Without what it needs it never begins.
  @Test func oneThatIsHeldCanBeDropped() {
    var queue = RunQueue([a], parallel: 1)
    _ = all(&queue)
    queue.hold(a, until: c)
    _ = queue.begins(c)
    queue.drop(a)
    queue.ended(c, sendsAway: true)
    #expect(queue.isOver)
    var stopped = RunQueue([a, b], parallel: 1)
    _ = all(&stopped)
    stopped.hold(a, until: c)
    _ = stopped.begins(c)
    #expect(stopped.stop() == [a, b] && stopped.notBegun == [])
    // One that is held when everything has been stopped does not begin, and nothing waits for it.
    var late = RunQueue([a], parallel: 1)
    _ = all(&late)
    _ = late.stop()
    late.hold(a, until: c)
    #expect(!late.begins(c) && late.isOver)
  }

  /// One that rests leaves its place, and goes on beside whoever has taken it.
  @Test func aRestLeavesThePlace() {
    var queue = RunQueue([a, b, c], parallel: 1)
    #expect(all(&queue) == [a])
    _ = queue.begins(a)
    queue.rest(a, true)
    #expect(all(&queue) == [b])
    _ = queue.begins(b)
    queue.rest(a, false)
    #expect(all(&queue) == [])
    queue.ended(b, sendsAway: true)
    #expect(all(&queue) == [] && !queue.isOver)
    queue.ended(a, sendsAway: true)
    #expect(all(&queue) == [c])
  }

  /// One that ends while it rests, or cannot begin, is in nobody's way.
  @Test func endsLeaveThePlace() {
    var queue = RunQueue([a, b, c], parallel: 1)
    #expect(all(&queue) == [a])
    queue.ended(a, sendsAway: true)
    #expect(all(&queue) == [b])
    _ = queue.begins(b)
    queue.rest(b, true)
    #expect(all(&queue) == [c])
    _ = queue.begins(c)
    queue.ended(b, sendsAway: true)
    #expect(!queue.isOver)
    queue.ended(c, sendsAway: true)
    #expect(queue.isOver)
  }

  /// After a stop nothing begins, not even what was being made ready.
  @Test func aStop() {
    var queue = RunQueue([a, b, c], parallel: 2)
    #expect(all(&queue) == [a, b])
    _ = queue.begins(a)
    #expect(queue.stop() == [c] && queue.isStopped)
    let begins = queue.begins(b)
    #expect(!begins && queue.next() == nil && !queue.isOver)
    queue.ended(a, sendsAway: true)
    #expect(queue.isOver)
  }
}

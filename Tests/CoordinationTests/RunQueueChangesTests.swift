import Coordination
import Testing
import WireProtocol

/// A queue that runs are put into, and taken out of, while others are at work.
@Suite struct RunQueueChangesTests {
  private let a = RunNumber(1)
  private let b = RunNumber(2)
  private let c = RunNumber(3)
  private let d = RunNumber(4)

  @Test func oneMoreComesLast() {
    var queue = RunQueue([], parallel: 1)
    #expect(queue.isOver)
    queue.add(a)
    queue.add(b)
    #expect(!queue.isOver)
    let (first, none) = (queue.next(), queue.next())
    #expect(first == a && none == nil && queue.notBegun == [a, b])
    _ = queue.begins(a)
    queue.ended(a, sendsAway: true)
    let second = queue.next()
    #expect(second == b)
  }

  @Test func oneThatWaitsIsTakenOut() {
    var queue = RunQueue([a, b, c], parallel: 1)
    _ = queue.next()
    let (waited, isGone, isMadeReady) = (queue.remove(b), !queue.remove(b), !queue.remove(a))
    #expect(waited && isGone && isMadeReady && queue.notBegun == [a, c])
  }

  @Test func someArePutFirst() {
    var queue = RunQueue([a, b, c, d], parallel: 1)
    _ = queue.next()
    queue.putFirst([d, a, c])
    #expect(queue.notBegun == [a, d, c, b])
  }

  @Test func nothingIsAddedOnceAllIsToStop() {
    var queue = RunQueue([a], parallel: 1)
    let stopped = queue.stop()
    queue.add(b)
    let next = queue.next()
    #expect(stopped == [a] && queue.isOver && next == nil)
  }
}

/// How the order of a queue is changed by hand. Of its entries some wait for their turn, and others are at work or rest;
/// only those that wait are moved, among the places that they have. Pure, so that who keeps the queue on the disk and who
/// carries it out come to the same.
public enum QueueOrder {
  /// Puts some entries that wait before all others that wait, which keep their order; what does not wait stays where it is.
  ///
  /// - Parameters:
  ///   - first: each once, in the order wanted
  ///   - isWaiting: whether an entry waits for its turn
  /// - Throws: `QueueOrderError` if one of them stands twice in `first`, or does not wait.
  public static func putFirst<Entry: Hashable>(
    _ first: [Entry], in entries: [Entry], isWaiting: (Entry) -> Bool
  ) throws(QueueOrderError) -> [Entry] {
    let waiting = entries.filter(isWaiting)
    let known = Set(waiting)
    var seen = Set<Entry>()
    for (index, entry) in first.enumerated() {
      guard seen.insert(entry).inserted else { throw QueueOrderError(index: index, kind: .twice) }
      guard known.contains(entry) else { throw QueueOrderError(index: index, kind: .notWaiting) }
    }
    var rest = (first + waiting.filter { !seen.contains($0) })[...]
    return entries.map { isWaiting($0) ? rest.popFirst() ?? $0 : $0 }
  }

  /// An entry that waited has begun: it comes before all that still wait.
  public static func begun<Entry: Hashable>(
    _ entry: Entry, in entries: [Entry], isWaiting: (Entry) -> Bool
  ) -> [Entry] {
    guard let place = entries.firstIndex(of: entry) else { return entries }
    let first = entries.firstIndex { $0 != entry && isWaiting($0) } ?? place
    guard first < place else { return entries }
    var entries = entries
    entries.insert(entries.remove(at: place), at: first)
    return entries
  }
}

/// Why an order is none.
public struct QueueOrderError: Error, Sendable, Equatable {
  public enum Kind: Sendable { case twice, notWaiting }

  /// In the order that was wanted, from 0.
  public let index: Int
  public let kind: Kind

  public init(index: Int, kind: Kind) { (self.index, self.kind) = (index, kind) }
}

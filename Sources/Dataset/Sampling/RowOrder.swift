import Foundation
import NestedLearning
import Randomness

/// The order in which training takes rows: an endless one, epoch after epoch, and a function of the config and of the
/// numbers of rows alone, so that any place in it can be asked for at any time.
///
/// An epoch has m = round(w·n) places of a file with n rows and weight w, at least one: each row ⌊m/n⌋ times, and m mod n
/// rows once more. Which these are, goes round: the e-th epoch takes the numbers e·(m mod n), … of an endless row of
/// decks, each of which is all n rows, in a random order if the config shuffles. So every row has its turn before any
/// has its second. The places of all files, one after the other, are then put into the random order of the epoch,
/// or taken as they are.
///
/// Unchecked: what changes is behind the lock, and only a memory of what was computed.
final class RowOrder: @unchecked Sendable {
  /// Places of an epoch.
  let count: Int
  private let parts: [Part]
  private let shuffle: Bool
  private let seed: UInt64
  private let lock = NSLock()
  private var epochs: [Epoch] = []
  /// Orders that are kept: a micro-batch may begin in one epoch and end in the next. Of many rows only one, which takes
  /// four bytes a row.
  private let keptEpochs: Int
  private static let mostPlacesToKeepTwo = 1 << 24

  private struct Part {
    let firstRow: Int
    let rowCount: Int
    /// The epoch's places of this part.
    let places: Range<Int>

    /// Rows that come once more than the others.
    var extraCount: Int { places.count % rowCount }
    var wholeCount: Int { places.count - extraCount }
  }

  private struct Epoch {
    let number: Int
    /// The place that each turn takes; empty for the order of the places themselves.
    let order: [UInt32]
    /// For each part the rows that come once more, by their numbers within the part.
    let extras: [[UInt32]]
  }

  /// - Throws: `DataError` if there are more places than an order can hold.
  init(rows: RowSet, shuffle: Bool, seed: UInt64) throws(DataError) {
    var (parts, firstRow, firstPlace): ([Part], Int, Int) = ([], 0, 0)
    for part in rows.parts where !part.range.isEmpty {
      let wanted = (part.weight * Double(part.range.count)).rounded()
      guard wanted <= Double(UInt32.max) else { throw Self.tooMany }
      let places = firstPlace..<(firstPlace + max(1, Int(wanted)))
      parts.append(Part(firstRow: firstRow, rowCount: part.range.count, places: places))
      (firstRow, firstPlace) = (firstRow + part.range.count, places.upperBound)
    }
    guard firstPlace <= Int(UInt32.max) else { throw Self.tooMany }
    self.parts = parts
    self.shuffle = shuffle
    self.seed = seed
    count = firstPlace
    keptEpochs = firstPlace <= Self.mostPlacesToKeepTwo ? 2 : 1
  }

  /// So many rows, each once an epoch.
  init(count: Int, shuffle: Bool, seed: UInt64) {
    parts = [Part(firstRow: 0, rowCount: count, places: 0..<count)]
    (self.count, self.shuffle, self.seed) = (count, shuffle, seed)
    keptEpochs = count <= Self.mostPlacesToKeepTwo ? 2 : 1
  }

  private static let tooMany = DataError(
    file: "train_data_path", reason: "an epoch has more than \(UInt32.max) rows",
    remedy: "give fewer files, or smaller weights")

  /// The number of the row that is taken at a place of the endless order, from 0.
  func row(at index: Int) -> Int {
    let (number, turn) = index.quotientAndRemainder(dividingBy: count)
    return lock.withLock {
      let epoch = epoch(number)
      return row(of: epoch, at: epoch.order.isEmpty ? turn : Int(epoch.order[turn]))
    }
  }

  private func row(of epoch: Epoch, at place: Int) -> Int {
    var index = 0
    while index + 1 < parts.count, place >= parts[index].places.upperBound { index += 1 }
    let part = parts[index]
    let local = place - part.places.lowerBound
    if local < part.wholeCount { return part.firstRow + local % part.rowCount }
    return part.firstRow + Int(epoch.extras[index][local - part.wholeCount])
  }

  private func epoch(_ number: Int) -> Epoch {
    if let known = epochs.first(where: { $0.number == number }) { return known }
    // The old ones go first: two orders of many rows would not be in memory together for nothing.
    if epochs.count >= keptEpochs { epochs.removeFirst(epochs.count - keptEpochs + 1) }
    let epoch = Epoch(
      number: number,
      order: shuffle ? CounterRandom.order(count: count, seed: seed, .rowOrder, UInt64(number)) : [],
      extras: parts.indices.map { extras(of: $0, epoch: number) })
    epochs.append(epoch)
    return epoch
  }

  private func extras(of index: Int, epoch: Int) -> [UInt32] {
    let part = parts[index]
    let wanted = part.extraCount
    guard wanted > 0 else { return [] }
    var extras: [UInt32] = []
    extras.reserveCapacity(wanted)
    while extras.count < wanted {
      let (deck, first) = (epoch * wanted + extras.count).quotientAndRemainder(dividingBy: part.rowCount)
      let taken = first..<min(part.rowCount, first + wanted - extras.count)
      if shuffle {
        extras +=
          CounterRandom.order(count: part.rowCount, seed: seed, .rowShare, UInt64(deck), UInt64(index))[
            taken]
      } else {
        extras += taken.map { UInt32($0) }
      }
    }
    return extras
  }
}

import Foundation

/// Which rows of an endless order each pack takes. Next-fit: a row goes into the pack that is open if it fits, and begins
/// the next one otherwise; none is split, and none is looked at twice.
///
/// A pack far ahead is found by passing over all before it. Where every 4096th begins is remembered, and where the last
/// one asked for was, so that this costs something only once.
///
/// Unchecked: what changes is behind the lock, and only a memory of what was computed.
final class PackIndex: @unchecked Sendable {
  private let maxLength: Int
  private let length: @Sendable (Int) -> Int
  private let lock = NSLock()
  /// The place at which the pack with this number begins.
  private var current = (pack: 0, place: 0)
  /// Where the packs 0, 4096, … begin.
  private var anchors = [0]
  private static let stride = 4096

  /// - Parameter length: tokens of the row at a place of the order.
  init(maxLength: Int, length: @escaping @Sendable (Int) -> Int) {
    self.maxLength = maxLength
    self.length = length
  }

  /// The places of the order that these packs take.
  func places(ofPacks packs: Range<Int>) -> Range<Int> {
    lock.withLock { start(of: packs.lowerBound)..<start(of: packs.upperBound) }
  }

  private func start(of pack: Int) -> Int {
    let anchor = min(pack / Self.stride, anchors.count - 1)
    if current.pack > pack || current.pack < anchor * Self.stride {
      current = (anchor * Self.stride, anchors[anchor])
    }
    while current.pack < pack {
      current = (current.pack + 1, end(ofPackAt: current.place))
      if current.pack == anchors.count * Self.stride { anchors.append(current.place) }
    }
    return current.place
  }

  /// Where the pack that begins at a place ends. A row that is as long as a pack, or longer, has one of its own.
  private func end(ofPackAt start: Int) -> Int {
    var (place, tokens) = (start, 0)
    repeat {
      tokens += length(place)
      place += 1
    } while tokens + length(place) <= maxLength
    return place
  }
}

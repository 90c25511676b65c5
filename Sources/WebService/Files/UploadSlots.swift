import Service
import Synchronization

/// How many files may be on their way to the data folder together.
final class UploadSlots: Sendable {
  private let taken = Mutex(0)
  private static let most = 4

  /// - Throws: `RunRequestError` if none is free; else `give` is to follow.
  func take() throws {
    try taken.withLock { taken in
      guard taken < Self.most else {
        throw RunRequestError(.tooMany, "\(Self.most) uploads are on their way", hint: "wait for one of them")
      }
      taken += 1
    }
  }

  func give() { taken.withLock { $0 -= 1 } }
}

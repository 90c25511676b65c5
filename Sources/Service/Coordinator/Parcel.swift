import Synchronization

/// What one thread hands to another, which takes it out. Captured as it is, it would be held for as long as the work that
/// it is for; a gradient is to go bit by bit, as it is added up.
final class Parcel<Content: Sendable>: Sendable {
  private let content: Mutex<Content?>

  init(_ content: Content) { self.content = Mutex(content) }

  /// Nil from the second time on.
  func take() -> Content? {
    content.withLock { content in
      defer { content = nil }
      return content
    }
  }
}

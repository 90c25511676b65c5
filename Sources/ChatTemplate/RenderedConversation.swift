/// A whole conversation as text, and where the assistant's turns are in it.
public struct RenderedConversation: Sendable, Equatable {
  /// One turn of the assistant.
  public struct Turn: Sendable, Equatable {
    /// The turn's index in the messages.
    public let message: Int
    /// Bytes of `text` (UTF-8) that the turn adds to what was there with the generation prompt. Training ends it after
    /// its first end-of-turn id. Nil if the turn is not found in the text.
    public let span: Range<Int>?
    /// Why there is no span; nil if there is one.
    public let reason: String?
  }

  public let text: String
  /// One for each message whose role is `assistant`, in order.
  public let turns: [Turn]
}

/// What is put around the ids of a text when special tokens are asked for.
struct PostProcessor: Sendable, Equatable {
  var before: [Int32] = []
  var after: [Int32] = []

  /// This one's tokens go around those of `inner`.
  func around(_ inner: PostProcessor) -> PostProcessor {
    PostProcessor(before: before + inner.before, after: inner.after + after)
  }
}

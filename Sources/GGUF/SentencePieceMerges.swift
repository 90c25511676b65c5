import JSON
import LanguageModel

/// Byte-pair merges out of the tokens and scores of a SentencePiece model: every way to cut a token into two tokens is a
/// merge, the higher its score the earlier. Of the same score, the one with the longer left half, then the longer right
/// half, comes first, as `generate_merges` of transformers 5.24 sorts them, whose sort keeps the order of the rest: by
/// token, and in a token by the ids of the halves.
struct SentencePieceMerges {
  let merges: JSONValue

  /// SentencePiece's own limit is 16 characters unless it is told otherwise; the work grows with the square of it.
  private static let longestToken = 512

  private struct Merge {
    let left: String
    let right: String
    let score: Float
    let leftCount: Int
    let rightCount: Int
    let ids: (left: Int, right: Int)
  }

  init(_ vocabulary: GGUFVocabulary, metadata: GGUFMetadata) throws(ModelError) {
    if let given = try metadata.strings("tokenizer.ggml.merges") {
      merges = .strings(given)
      return
    }
    let key = "tokenizer.ggml.scores"
    guard let scores = try metadata.floats(key), scores.count == vocabulary.tokens.count else {
      throw metadata.fault(key, "is missing, or has not one entry for each of the tokens")
    }
    guard scores.allSatisfy({ !$0.isNaN }) else {
      throw metadata.fault(key, "holds a value that is no number")
    }
    var found: [Merge] = []
    var seen = Set<String.UTF8Bytes>(minimumCapacity: scores.count)
    for token in vocabulary.spelled where seen.insert(.init(token)).inserted {
      guard token.utf8.count <= Self.longestToken else {
        throw metadata.fault(
          key, "belongs to a token of \(token.utf8.count) bytes, more than \(Self.longestToken)")
      }
      let score = scores[vocabulary.ids[.init(token)] ?? 0]
      found += Self.cuts(of: token, score: score, vocabulary)
    }
    // Swift's sort is stable, like Python's; with `reverse` that keeps equals in their order, too.
    found.sort { a, b in
      if a.score != b.score { return a.score > b.score }
      if a.leftCount != b.leftCount { return a.leftCount > b.leftCount }
      return a.rightCount > b.rightCount
    }
    merges = .array(found.map { Self.json($0) })
  }

  private static func cuts(of token: String, score: Float, _ vocabulary: GGUFVocabulary) -> [Merge] {
    let scalars = token.unicodeScalars
    var merges: [Merge] = []
    var count = 0
    let total = scalars.count
    for place in scalars.indices.dropFirst() {
      count += 1
      let (left, right) = (String(scalars[..<place]), String(scalars[place...]))
      guard let leftID = vocabulary.ids[.init(left)], let rightID = vocabulary.ids[.init(right)] else {
        continue
      }
      merges.append(
        Merge(
          left: left, right: right, score: score, leftCount: count, rightCount: total - count,
          ids: (leftID, rightID)))
    }
    return merges.sorted { $0.ids < $1.ids }
  }

  /// Older readers know `"a b"` alone; a half with a space in it needs the other form.
  private static func json(_ merge: Merge) -> JSONValue {
    merge.left.utf8.contains(0x20) || merge.right.utf8.contains(0x20)
      ? .strings([merge.left, merge.right]) : .string("\(merge.left) \(merge.right)")
  }
}

/// How many letters apart two words are, to guess what a mistyped key was meant to be.
package enum EditDistance {
  /// The candidate with the least distance, the first of equals; nil if there is none.
  package static func nearest(to word: String, among candidates: [String]) -> String? {
    candidates.min { distance(word, $0) < distance(word, $1) }
  }

  /// Letters to insert, delete, replace, or swap with their neighbour, to make `a` of `b`
  /// (optimal string alignment, over UTF-8 bytes of the first 100 letters).
  package static func distance(_ a: String, _ b: String) -> Int {
    let a = Array(a.prefix(100).lowercased().utf8)
    let b = Array(b.prefix(100).lowercased().utf8)
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var best = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
        row.append(best)
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }
}

import Files
import NestedLearning

extension RowReport {
  /// Of the file: `train.jsonl: 12 text, 3 messages; 4321 tokens, 1234 of them trained on`.
  public var overview: String {
    let kinds = RowKind.allCases.compactMap { kind in self.kinds[kind].map { "\($0) \(kind.rawValue)" } }
    return "\(FileSystem.name(of: file)): \(kinds.joined(separator: ", ")); \(tokens) tokens, "
      + "\(trainedTokens) of them trained on"
  }

  /// What is not as one would expect it, a line each.
  public var remarks: [String] {
    var lines = skipped.map { skipped in
      "\(skipped.lines.count) rows of \(file) skipped: \(skipped.reason) (\(skipped.lines.text))"
    }
    if missingTurns.count > 0 {
      lines.append(
        "\(missingTurns.count) turns of \(file) are not trained on: the chat template shows them otherwise in the whole "
          + "conversation (\(missingTurns.text))")
    }
    if duplicates.count > 0 {
      let examples = duplicates.groups.prefix(3).map { group in
        group.prefix(3).map(String.init).joined(separator: " = ")
      }
      lines.append(
        "\(duplicates.count) rows of \(file) are there more than once (lines \(examples.joined(separator: ", ")))"
      )
    }
    if let text = long.text { lines.append(text) }
    return lines
  }
}

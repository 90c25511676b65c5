import Files
import NestedLearning

extension RowReport {
  /// Of the file: `train.jsonl: 12 text, 3 messages; 4321 tokens, 1234 of them trained on`.
  public var overview: String {
    let kinds = RowKind.allCases.compactMap { kind in self.kinds[kind].map { "\($0) \(kind.rawValue)" } }
    return "\(FileSystem.name(of: file)): \(kinds.joined(separator: ", ")); \(tokens) tokens, "
      + "\(trainedTokens) of them trained on"
  }

  private static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }

  /// What is not as one would expect it, a line each.
  public var remarks: [String] {
    var lines = skipped.map { skipped in
      "\(Self.count(skipped.lines.count, "row")) of \(file) skipped: \(skipped.reason) (\(skipped.lines.text))"
    }
    if missingTurns.count > 0 {
      lines.append(
        "\(Self.count(missingTurns.count, "turn")) of \(file) not trained on: the chat template shows it otherwise in the whole "
          + "conversation (\(missingTurns.text))")
    }
    if duplicates.count > 0 {
      let examples = duplicates.groups.prefix(3).map { group in
        group.prefix(3).map(String.init).joined(separator: " = ")
      }
      lines.append(
        "\(Self.count(duplicates.count, "row")) of \(file) repeated from earlier lines (lines \(examples.joined(separator: ", ")))"
      )
    }
    if let text = long.text { lines.append(text) }
    return lines
  }
}

import JSON
import NestedLearning

extension RowReport {
  /// Every count, for `--json` and for the token cache. The file's name is not among them.
  public var json: JSONValue {
    [
      "kinds": .object(
        JSONObject(
          RowKind.allCases.compactMap { kind in
            kinds[kind].map { .init(key: kind.rawValue, value: .number($0)) }
          })),
      "first_rows": .object(
        JSONObject(
          RowKind.allCases.compactMap { kind in
            firstRows[kind].map { .init(key: kind.rawValue, value: .number($0)) }
          })), "conversations": .number(conversations), "rows": .number(rows), "tokens": .number(tokens),
      "trained_tokens": .number(trainedTokens),
      "lengths": lengths.json, "long_rows": long.json,
      "skipped": .array(
        skipped.map { skipped in
          [
            "reason": .string(skipped.reason), "count": .number(skipped.lines.count),
            "lines": .numbers(skipped.lines.first),
          ]
        }),
      "turns_not_found": missingTurns.json, "duplicates": duplicates.json,
      "largest_id": .number(Int(largestID)),
    ]
  }

  /// - Returns: nil if it is not what `json` writes.
  init?(json: JSONValue, file: String, options: RowOptions) {
    self.init(file: file, rule: options.longRows, maxLength: options.maxLength)
    guard let kinds = json["kinds"]?.object, let rows = json["rows"]?.int, let tokens = json["tokens"]?.int,
      let trained = json["trained_tokens"]?.int, let lengths = LengthHistogram(json: json["lengths"]),
      let skipped = json["skipped"]?.array, let missing = LineCounts(json: json["turns_not_found"]),
      let duplicates = DuplicateRows(json: json["duplicates"]),
      let largest = json["largest_id"]?.int.flatMap(Int32.init(exactly:)),
      let conversations = json["conversations"]?.int, let long = json["long_rows"], self.long.read(long)
    else { return nil }
    for member in kinds.members {
      guard let kind = RowKind(rawValue: member.key), let count = member.value.int else { return nil }
      self.kinds[kind] = count
      firstRows[kind] = json["first_rows"]?[member.key]?.int
    }
    for item in skipped {
      guard let reason = item["reason"]?.string, let lines = LineCounts(json: item) else { return nil }
      self.skipped.append(SkippedRows(reason: reason, lines: lines))
    }
    (self.rows, self.tokens, trainedTokens, self.lengths) = (rows, tokens, trained, lengths)
    self.conversations = conversations
    (missingTurns, self.duplicates, largestID) = (missing, duplicates, largest)
  }
}

extension LongRowCounts {
  /// Takes the counts that `json` has written.
  mutating func read(_ json: JSONValue) -> Bool {
    guard let rows = json["rows"]?.int, let parts = json["parts"]?.int,
      let leftOut = json["tokens_left_out"]?.int, let longest = json["longest"]?.array
    else { return false }
    (self.rows, self.parts, tokensLeftOut) = (rows, parts, leftOut)
    self.longest = longest.compactMap(Row.init(json:))
    return true
  }

  /// Those of several files together.
  public static func sum(_ counts: [LongRowCounts]) -> LongRowCounts? {
    guard var sum = counts.first else { return nil }
    for other in counts.dropFirst() {
      sum.rows += other.rows
      sum.parts += other.parts
      sum.tokensLeftOut += other.tokensLeftOut
    }
    return sum
  }
}

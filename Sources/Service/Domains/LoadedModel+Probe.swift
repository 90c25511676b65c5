import Dataset
import Files
import Foundation
import JSON
import LanguageModel

/// How much the mean hidden states of rows say of what a key of the rows has.
public struct ProbeOutcome: Sendable {
  /// What the key has, in the order of the bytes.
  public let names: [String]
  /// Rows that each of the two regressions was fitted to, about half of all.
  public let fittedRows: Int
  /// Rows that were told by the regression that was not fitted to them: all.
  public let heldOutRows: Int
  /// Share of the held-out rows that are told rightly.
  public let accuracy: Double
  /// What always naming the commonest would get right of them.
  public let chance: Double

  public var json: JSONValue {
    [
      "names": .strings(names), "fitted_rows": .number(fittedRows), "held_out_rows": .number(heldOutRows),
      "accuracy": .number(accuracy), "chance": .number(chance),
    ]
  }

  public var text: String {
    String(
      format: "A fresh logistic regression tells %.1f%% of %d held-out rows rightly; chance is %.1f%% (%@)",
      accuracy * 100, heldOutRows, chance * 100, names.joined(separator: ", "))
  }
}

extension LoadedModel {
  /// Fits a logistic regression to the mean hidden states after the last norm of one half of the rows, and another to those
  /// of the other half (see `RowHalves`), and counts what each tells rightly of the half that it was not fitted to.
  ///
  /// - Parameter field: the key of a row that has what is to be told.
  /// - Throws: `DataError` for a row without it, or one that cannot be read.
  public func probe(
    data path: String, field: String, maxLength: Int? = nil, progress: ((Int, Int) -> Void)? = nil
  ) throws -> ProbeOutcome {
    let encoding = try RowEncoding(
      tokenizer: tokenizer, folder: folder, trainOn: .all, date: nil, tasks: tasks)
    var options = RowOptions(maxLength: min(maxLength ?? 512, model.configuration.maxPositions))
    options.keepsUnlabelled = true
    let rows = try TokenRows(file: FileSystem.absolute(path), encoder: encoding.encoder, options: options)
      .rows
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check(rows)
    let labels = try RowField.labels(of: rows, key: field, namedBy: "--field")
    let names = Set(labels).sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    guard names.count > 1, rows.count >= 4 else {
      throw DataError(
        file: path, key: field,
        reason: "has one value in \(rows.count) rows, so that there is nothing to tell",
        remedy: "give rows of several")
    }
    var states: [[Float]] = []
    for number in rows.indices {
      var batch = MicroBatch(rows: [rows[number].ids])
      if let domains = model.domains, domains.adaptsNorms, model.domain == nil {
        batch.rowDomains = [Int32(domains.names.firstIndex(of: labels[number]) ?? -1)]
      }
      states.append(try model.pooledStates(batch).values)
      progress?(number + 1, rows.count)
    }
    let numbers = labels.map { names.firstIndex(of: $0) ?? 0 }
    let halves = RowHalves(tokens: rows.map(\.ids), names: numbers)
    guard !halves.second.isEmpty else {
      throw DataError(
        file: path, key: field, reason: "has no value twice, so that none can be held out",
        remedy: "give several rows of each")
    }
    var right = 0
    for (fitted, heldOut) in [(halves.first, halves.second), (halves.second, halves.first)] {
      let probe = LinearProbe(
        inputs: fitted.map { states[$0] }, labels: fitted.map { numbers[$0] }, classes: names.count)
      right += heldOut.count { probe.predict(states[$0]) == numbers[$0] }
    }
    let commonest = names.indices.map { name in numbers.count { $0 == name } }.max() ?? 0
    return ProbeOutcome(
      names: names, fittedRows: halves.first.count, heldOutRows: rows.count,
      accuracy: Double(right) / Double(rows.count), chance: Double(commonest) / Double(rows.count))
  }
}

/// Token rows packed one after the other, without padding: the unit that gradients are computed for.
public struct MicroBatch: Sendable, Equatable {
  /// The rows' tokens.
  public var tokens: [Int32]
  /// Row r has the tokens [offsets[r], offsets[r+1]); one more entry than rows.
  public var offsets: [Int32]
  /// labels[i] is the token to be predicted at place i, or `MicroBatch.ignored`.
  public var labels: [Int32]
  /// Where there are tasks, the number of each row's; a label is then one of its task. Empty: labels are tokens.
  public var rowTasks: [Int32] = []
  /// Where something depends on domains, the number of each row's, or −1 of none. Empty: all of the model's
  /// ``TrainableModel/domain``.
  public var rowDomains: [Int32] = []
  /// Where a discriminator is to tell the domains.
  public var adversary: AdversaryTerms?

  /// The label of a place that no loss is computed for, as in PyTorch.
  public static let ignored: Int32 = -100

  /// A loss on every real next token: each place but the last of its row.
  public init(rows: [[Int32]]) {
    tokens = rows.flatMap { $0 }
    labels = rows.flatMap { $0.dropFirst() + [Self.ignored].prefix($0.count) }
    offsets = rows.reduce(into: [0]) { $0.append(($0.last ?? 0) + Int32($1.count)) }
  }

  public init(tokens: [Int32], offsets: [Int32], labels: [Int32], rowTasks: [Int32] = []) {
    self.rowTasks = rowTasks
    self.tokens = tokens
    self.offsets = offsets
    self.labels = labels
  }

  public var rowCount: Int { max(0, offsets.count - 1) }

  /// Number of places that have a label.
  public var trainedTokens: Int { labels.reduce(0) { $1 == Self.ignored ? $0 : $0 + 1 } }

  /// The places that have a label, ascending.
  var trainedPlaces: [Int32] {
    labels.indices.filter { labels[$0] != Self.ignored }.map(Int32.init)
  }

  /// The places of a task's rows that have a label, ascending, and the row of each.
  func places(ofTask task: Int) -> (places: [Int32], rows: [Int]) {
    var (places, rows): ([Int32], [Int]) = ([], [])
    for (row, its) in rowTasks.enumerated() where its == task {
      for place in offsets[row]..<offsets[row + 1] where labels[Int(place)] != Self.ignored {
        places.append(place)
        rows.append(row)
      }
    }
    return (places, rows)
  }

  /// - Throws: unless offsets ascend from 0 to the number of tokens, there is a label for each token, and all
  ///   tokens and labels are in the vocabulary, or labels among those of their row's task.
  func check(vocabulary: Int, heads: [TaskHead] = [], domains: Domains? = nil) throws(BatchError) {
    guard offsets.first == 0, offsets.last.map(Int.init) == tokens.count,
      zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
    else { throw BatchError("row offsets do not ascend from 0 to the number of tokens (\(tokens.count))") }
    guard labels.count == tokens.count else {
      throw BatchError("\(labels.count) labels for \(tokens.count) tokens")
    }
    try Self.check(tokens, vocabulary: vocabulary)
    try checkDomains(domains)
    guard rowTasks.isEmpty else { return try checkTasks(heads, vocabulary: vocabulary) }
    if let label = labels.first(where: { $0 != Self.ignored && !(0..<vocabulary).contains(Int($0)) }) {
      throw BatchError("the label \(label) is outside the model's vocabulary of \(vocabulary)")
    }
  }

  private func checkDomains(_ domains: Domains?) throws(BatchError) {
    let least: Int32 = adversary == nil ? -1 : 0
    let count = domains?.names.count ?? 0
    guard adversary == nil || rowDomains.count == rowCount && domains?.hasDiscriminator == true else {
      throw BatchError("domains are to be told, and rows have none, or the model no discriminator")
    }
    guard rowDomains.isEmpty || rowDomains.count == rowCount else {
      throw BatchError("\(rowDomains.count) domains for \(rowCount) rows")
    }
    if let domain = rowDomains.first(where: { $0 < least || $0 >= count }) {
      throw BatchError("a row is of domain \(domain), and the model has \(count) domains")
    }
    if adversary != nil, zip(offsets, offsets.dropFirst()).contains(where: { $0 == $1 }) {
      throw BatchError("a row has no tokens, so that its domain cannot be told")
    }
  }

  private func checkTasks(_ heads: [TaskHead], vocabulary: Int) throws(BatchError) {
    guard rowTasks.count == rowCount else {
      throw BatchError("\(rowTasks.count) tasks for \(rowCount) rows")
    }
    for (row, task) in rowTasks.enumerated() {
      guard heads.indices.contains(Int(task)) else {
        throw BatchError("row \(row) is of task \(task), and the model has \(heads.count) heads")
      }
      let head = heads[Int(task)]
      let count = head.kind == .languageModeling ? vocabulary : head.labels.count
      for label in labels[Int(offsets[row])..<Int(offsets[row + 1])]
      where label != Self.ignored && !(0..<count).contains(Int(label)) {
        throw BatchError("the label \(label) is none of the \(count) of task \(head.name)")
      }
    }
  }

  static func check(_ tokens: [Int32], vocabulary: Int) throws(BatchError) {
    if let token = tokens.first(where: { !(0..<vocabulary).contains(Int($0)) }) {
      throw BatchError("the token id \(token) is outside the model's vocabulary of \(vocabulary)")
    }
  }
}

/// A batch that the model cannot compute.
public struct BatchError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Which dropout masks to draw: those of one micro-batch of one step of one run.
public struct DropoutKey: Sendable, Equatable {
  public var seed: UInt64
  public var step: Int
  public var microBatch: Int

  public init(seed: UInt64, step: Int, microBatch: Int) {
    self.seed = seed
    self.step = step
    self.microBatch = microBatch
  }
}

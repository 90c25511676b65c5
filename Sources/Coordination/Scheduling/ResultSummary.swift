import WireProtocol

/// What a result says, without its bytes: these stay with whoever received them.
public struct ResultSummary: Sendable, Hashable {
  public struct Object: Sendable, Hashable {
    public let name: String
    public let sha256: String
    public let byteCount: Int

    public init(name: String, sha256: String, byteCount: Int) {
      self.name = name
      self.sha256 = sha256
      self.byteCount = byteCount
    }
  }

  public let attempt: Int
  public let lossSum: Double
  public let terms: ObjectiveTerms?
  public let tokens: Int
  /// Of them, in an evaluation that wants it, those that were right.
  public var correct: Int?
  public let seconds: Double
  /// Steps of the computation; 0 if they were not counted.
  public let progress: Int
  /// Ordered by name.
  public let objects: [Object]
  /// Whether digests of the objects came without their bytes.
  public let isDigestOnly: Bool
  /// Whether the objects' bytes are here; not those of an offer that was refused.
  public let hasBytes: Bool
  /// Whether every number of the objects is finite, as far as their bytes are here.
  public let isFinite: Bool
  /// What the worker holds of windows.
  public let windows: [WindowReport]

  public init(
    attempt: Int, lossSum: Double, terms: ObjectiveTerms? = nil, tokens: Int, seconds: Double,
    progress: Int = 0,
    objects: [Object],
    isDigestOnly: Bool = false, hasBytes: Bool = true, isFinite: Bool = true, windows: [WindowReport] = []
  ) {
    self.attempt = attempt
    self.lossSum = lossSum
    self.terms = terms
    self.tokens = tokens
    self.seconds = seconds
    self.progress = progress
    self.objects = objects.sorted { $0.name < $1.name }
    self.isDigestOnly = isDigestOnly
    self.hasBytes = hasBytes && !isDigestOnly
    self.isFinite = isFinite
    self.windows = windows
  }

  public init(_ message: ResultMessage) {
    let objects = message.gradients.map(\.values) + message.chains.map(\.values)
    self.init(
      attempt: message.attempt, lossSum: message.lossSum, terms: message.terms, tokens: message.tokens,
      seconds: message.seconds,
      progress: message.progress,
      objects: message.gradients.map {
        Object(name: $0.values.name, sha256: $0.values.sha256, byteCount: $0.values.byteCount)
      } + message.digests.map { Object(name: $0.name, sha256: $0.sha256, byteCount: $0.byteCount) }
        + message.chains.map {
          Object(name: $0.values.name, sha256: $0.values.sha256, byteCount: $0.values.byteCount)
        },
      isDigestOnly: !message.digests.isEmpty, hasBytes: objects.allSatisfy(\.isHere),
      isFinite: objects.allSatisfy(\.hasFiniteFloats), windows: message.windows)
    correct = message.correct
  }

  /// Whether two results say the same, bit for bit; the time that they took may differ.
  public func agrees(with other: ResultSummary) -> Bool {
    lossSum.bitPattern == other.lossSum.bitPattern && terms?.bitPatterns == other.terms?.bitPatterns
      && tokens == other.tokens && correct == other.correct && word == other.word
  }
}

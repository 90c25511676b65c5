/// What is wrong with a curriculum, by the name of what is at fault.
public struct CurriculumError: Error, Sendable, Equatable, CustomStringConvertible {
  /// As it is called in ``CurriculumSettings``.
  public let name: String
  public let reason: String
  public let remedy: String

  init(_ name: String, _ reason: String, _ remedy: String) {
    self.name = name
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(name): \(reason); \(remedy)" }

  static func check(initial: Double, final: Double) throws(CurriculumError) {
    guard (0...1).contains(initial) else {
      throw CurriculumError(
        "initial", "is \(initial), and difficulties are from 0 to 1", "set it to .3, for one")
    }
    guard (0...1).contains(final) else {
      throw CurriculumError("final", "is \(final), and difficulties are from 0 to 1", "set it to 1, for one")
    }
    guard initial <= final else {
      throw CurriculumError(
        "final", "is \(final), below where the threshold begins (\(initial)): a curriculum never gets easier",
        "raise it, or lower where it begins")
    }
  }
}

/// What curricula are made of; each takes what it needs.
public struct CurriculumSettings: Sendable, Equatable {
  /// Where the threshold, or the competence, begins; nil: .01 for Platanios' two, .3 for the others.
  public var initial: Double?
  /// Where it ends.
  public var final = 1.0
  /// Over which it rises.
  public var steps: Int
  /// Before it rises.
  public var warmup = 0
  /// The accuracy that `competence` is paced by.
  public var target = 0.7
  /// δ of `competence`.
  public var delta = 0.05
  /// Evaluations that must agree; nil: 3 for `competence`, 1 for `stages`.
  public var patience: Int?
  public var stages = CurriculumStage.standard

  public init(steps: Int) { self.steps = steps }
}

/// `curriculum_strategy`: how difficulty rises.
public enum CurriculumKind: String, Sendable, CaseIterable {
  /// It does not: there is no curriculum.
  case none
  /// On a line from step to step.
  case progressive
  case competenceLinear = "competence_linear"
  case competenceSqrt = "competence_sqrt"
  /// By the accuracy of evaluations.
  case competence
  /// In stages, each until evaluations reach its target.
  case stages

  /// Whether it goes by the accuracy of evaluations.
  public var followsEvaluations: Bool { self == .competence || self == .stages }
}

/// The curriculum of a name: `progressive`, `competence_linear`, `competence_sqrt`, `competence` or `stages`.
///
/// ```swift
/// var settings = CurriculumSettings(steps: 1000)
/// settings.initial = 0.2
/// let curriculum = try createCurriculum(name: "progressive", settings: settings)
/// curriculum.threshold(at: 500)   // 0.6
/// ```
///
/// - Throws: `CurriculumError` for a name that is not known, or a setting that cannot be.
public func createCurriculum(
  name: String, settings: CurriculumSettings
) throws(CurriculumError) -> any CurriculumStrategy {
  let initial = settings.initial ?? 0.3
  switch CurriculumKind(rawValue: name) {
  case .progressive:
    return try ProgressiveDifficulty(
      initial: initial, final: settings.final, steps: settings.steps, warmup: settings.warmup)
  case .competenceLinear:
    return try CompetencePacing(
      .linear, initial: settings.initial ?? 0.01, steps: settings.steps, warmup: settings.warmup)
  case .competenceSqrt:
    return try CompetencePacing(
      .sqrt, initial: settings.initial ?? 0.01, steps: settings.steps, warmup: settings.warmup)
  case .competence:
    return try AdaptiveCompetence(
      initial: initial, target: settings.target, delta: settings.delta, patience: settings.patience ?? 3)
  case .stages: return try StagedCurriculum(stages: settings.stages, patience: settings.patience ?? 1)
  case .none?, nil:
    let known = CurriculumKind.allCases.filter { $0 != .none }.map(\.rawValue).joined(separator: ", ")
    throw CurriculumError("name", "\"\(name)\" is not known", "known are \(known)")
  }
}

/// Sums over the trained tokens of a node beside the task's cross entropy, added by the fixed tree. In nats.
public struct ObjectiveTerms: Sendable, Hashable {
  /// The loss of replayed rows.
  public var replay: Double
  /// KL(p_base ‖ p), where it is wanted.
  public var divergence: Double
  /// What the gradients are of.
  public var objective: Double
  /// By task, where several share the transformer; empty without.
  public var tasks: [TaskSums]
  /// Of the rows' domains, where a discriminator tells them; nil without.
  public var domains: TaskSums?

  public init(
    replay: Double = 0, divergence: Double = 0, objective: Double = 0, tasks: [TaskSums] = [],
    domains: TaskSums? = nil
  ) {
    self.domains = domains
    self.replay = replay
    self.divergence = divergence
    self.objective = objective
    self.tasks = tasks
  }

  public static func + (a: ObjectiveTerms, b: ObjectiveTerms) -> ObjectiveTerms {
    ObjectiveTerms(
      replay: a.replay + b.replay, divergence: a.divergence + b.divergence,
      objective: a.objective + b.objective, tasks: zip(a.tasks, b.tasks).map { $0 + $1 },
      domains: a.domains.flatMap { own in b.domains.map { own + $0 } })
  }

  public var isFinite: Bool {
    replay.isFinite && divergence.isFinite && objective.isFinite && tasks.allSatisfy { $0.loss.isFinite }
      && domains?.loss.isFinite ?? true
  }

  /// Tells one from every other, not a number and minus zero included.
  public var bitPatterns: [UInt64] {
    [replay.bitPattern, divergence.bitPattern, objective.bitPattern] + tasks.flatMap(\.bitPatterns)
      + (domains?.bitPatterns ?? [])
  }
}

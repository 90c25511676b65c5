import NestedLearning

/// What a step takes of the course of its run so far, beside its data.
package struct StepCourse: Sendable, Equatable {
  /// How its rows are taken; nil where nothing goes by how difficult they are.
  package var sampling: StepSampling?
  private let lowered: Double?

  /// - Parameter baseRate: what evaluations have made of the base learning rate; nil: the config's.
  package init(sampling: StepSampling? = nil, baseRate: Double? = nil) {
    (self.sampling, lowered) = (sampling, baseRate)
  }

  /// The base learning rate: that of the stage of a curriculum, or what evaluations have made of it; nil: the config's.
  package var baseRate: Double? { sampling?.learningRate ?? lowered }
}

/// What steps follow of the evaluations before them.
package struct FollowedEvaluations: Sendable, Equatable {
  /// Of all that counted right tokens, in their order: what a curriculum follows.
  package var accuracies: [EvaluatedAccuracy]
  /// `tasks_schedule: worst_first`: what they have found, from the first on.
  package var worst: [WorstTask]

  package init(accuracies: [EvaluatedAccuracy] = [], worst: [WorstTask] = []) {
    (self.accuracies, self.worst) = (accuracies, worst)
  }

  /// Whether it is another with more at its end.
  func continues(_ other: Self) -> Bool {
    accuracies.starts(with: other.accuracies) && worst.starts(with: other.worst)
  }
}

import JSON
import NestedLearning

/// `GET /nested-learning/tier-info`: what tiers do, for whoever asks for the first time.
enum TierInfo {
  static let json: JSONValue = [
    "description": """
    Parameters are divided into tiers. Tier k is updated at every step that its period divides, so fast tiers follow the \
    new data at once and slow tiers keep what was there for longer. m, v and the count of updates of a tier move only \
    when it is updated.
    """,
    "tiers": [
      "tier_0": [
        "name": "fast", "frequency": 1,
        "description": "Updated at every step: takes up the new data at once.",
      ],
      "tier_1": [
        "name": "medium", "frequency": 2, "description": "Updated at every second step: follows what lasts.",
      ],
      "tier_2": [
        "name": "slow", "frequency": 4,
        "description": "Updated at every fourth step: keeps what was known before.",
      ],
    ],
    "benefits": [
      "Steps at which a tier rests cost nothing for it: neither its gradients nor its bytes move.",
      "The periods [1, 2, 4] come to 58 % of the updates of plain fine-tuning, by arithmetic.",
      "With tier_mode consolidate and rehearsal (preset keep) most of what the model knew stays, as we measured it.",
      "Whether slow tiers alone keep more than plain fine-tuning with as many updates is not shown: measure it on your data.",
    ],
    "strategies": .object(
      JSONObject(
        TierAssignmentStrategy.allCases.map { strategy in
          .init(key: strategy.rawValue, value: .string(Self.meaning(strategy.rawValue)))
        })),
  ]

  private static func meaning(_ strategy: String) -> String {
    switch strategy {
    case "layer_depth": "By the layer that a parameter belongs to; tier_order says which end is fast."
    case "parameter_importance":
      "By the norm of each module's gradients before training: the largest are updated most often."
    case "manual": "By manual_tier_map: patterns of module names and their tiers."
    case "module_type": "By the kind of module, as module_type_tiers says."
    case "random": "At random, by tier_seed: to compare with."
    default: "See the key tier_assignment_strategy."
    }
  }
}

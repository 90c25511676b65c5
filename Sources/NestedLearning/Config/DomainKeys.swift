import JSON

/// `adaptation_norms`: which norms have a scale and a shift for each domain.
public enum AdaptedNorms: String, Sendable, CaseIterable {
  case none
  /// The one after the last layer.
  case final
  /// That, and the two of each layer.
  case all
}

// The keys of domains that rows are of: where they come from, or what they are about.
extension NestedLearningConfig {
  static let domainKeys: [ConfigKey] = [
    ConfigKey(
      "adaptation_domains", .strings,
      "The domains that rows are of, by name, for adaptation_adversary and adaptation_norms.",
      read: { (config, value) throws(ConfigValueError) in
        config.adaptationDomains = []
        guard !value.isNull else { return }
        let names = try ConfigKey.list(value, "a list of names") { (item) throws(ConfigValueError) in
          let name = try ConfigKey.text(item, "a name")
          guard TaskDefinition.isName(name) else {
            throw ConfigValueError(reason: "must have names of letters, digits, _ and -, of at most 64")
          }
          return name
        }
        guard Set(names).count == names.count, names.count <= 256 else {
          throw ConfigValueError(reason: "must name at most 256 domains, each once")
        }
        config.adaptationDomains = names
      },
      write: { $0.adaptationDomains.isEmpty ? .null : .strings($0.adaptationDomains) }),
    ConfigKey(
      "adaptation_domain_field", .string, "The key of a row that names its domain.",
      read: { (config, value) throws(ConfigValueError) in
        config.adaptationDomainField = try ConfigKey.text(value, "a text")
      },
      write: { .string($0.adaptationDomainField) }),
    .number(
      "adaptation_adversary", \.adaptationAdversary, "of at least 0", { $0 >= 0 },
      "λ that domain-adversarial training ends with: a discriminator learns to tell the rows' domains, and the transformer "
        + "receives its gradient times −λ (Ganin et al. 2016). 0: none."),
    .number(
      "adaptation_adversary_alpha", \.adaptationAdversaryAlpha, "above 0", { $0 > 0 },
      "How fast λ grows over the run: λ·(2/(1 + e^(−αp)) − 1), p from 0 to 1."),
    .choice(
      "adaptation_norms", \.adaptationNorms,
      "Norms that learn a scale and a shift for each domain: none, the one after the last layer (final), or all."
    ),
  ]

  func checkDomains(_ source: ConfigSource) throws(ConfigError) {
    let users: [(key: String, isGiven: Bool)] = [
      ("adaptation_adversary", adaptationAdversary > 0), ("adaptation_norms", adaptationNorms != .none),
    ]
    guard let user = users.first(where: { $0.isGiven })?.key else {
      let others: [(key: String, isGiven: Bool)] = [
        // An adapter may bring norms that have theirs.
        ("adaptation_domains", !adaptationDomains.isEmpty && adapterPath == nil),
        ("adaptation_domain_field", adaptationDomainField != "domain" && adapterPath == nil),
        ("adaptation_adversary_alpha", adaptationAdversaryAlpha != 10),
      ]
      if let other = others.first(where: { $0.isGiven })?.key {
        throw source.error(
          other, "has no effect: nothing depends on the domains of rows",
          "give adaptation_adversary or adaptation_norms, or leave out \(other)")
      }
      return
    }
    guard adaptationDomains.count >= 2 || adaptationDomains.isEmpty && adapterPath != nil else {
      throw source.error(
        "adaptation_domains", "must name at least two domains, as \(user) is about them",
        "name those that rows have in \"\(adaptationDomainField)\"")
    }
    if adaptationAdversary == 0, adaptationAdversaryAlpha != 10 {
      throw source.error(
        "adaptation_adversary_alpha", "has no effect without adaptation_adversary",
        "give that, or leave out adaptation_adversary_alpha")
    }
    let others: [(key: String, isGiven: Bool, why: String)] = [
      ("trainable", trainable == .full, "it is trained beside LoRA pairs"),
      ("tier_mode", tierMode == .consolidate, "it is for tier_mode layers"),
      ("replay", replay == .self, "texts of the model's own have no domain"),
      ("replay_data_path", replayDataPath != nil, "rehearsed rows have no domain"),
      ("ewc_lambda", ewcLambda > 0, "it is measured on rows without a domain"),
      (
        "tier_assignment_strategy", tierAssignmentStrategy == .parameterImportance,
        "importance is measured on rows without a domain"
      ),
    ]
    for other in others where other.isGiven {
      throw source.error(
        other.key, "is not combined with \(user): \(other.why)", "leave out \(other.key), or \(user)")
    }
  }
}

import JSON
import Testing

@testable import NestedLearning

/// λ of gradient reversal, and the keys of domains.
@Suite struct DomainTests {
  /// `most * (2 / (1 + math.exp(-alpha * (t - 1) / T)) - 1)` of Python.
  @Test(arguments: [
    (
      1.0, 10.0, 100,
      [(1, 0.0), (11, 0.4621171572600098), (26, 0.8482836399575131), (100, 0.9998996556706323)]
    ),
    (0.8, 6.0, 12, [(1, 0.0), (2, 0.19593492992296735), (7, 0.7241186029158935), (12, 0.7934877796545664)]),
    (2.5, 10.0, 1, [(1, 0.0)]),
  ])
  func lambdaGrows(most: Double, alpha: Double, steps: Int, table: [(step: Int, lambda: Double)]) throws {
    let config = config {
      ($0.adaptationAdversary, $0.adaptationAdversaryAlpha, $0.numSteps) = (most, alpha, steps)
    }
    let reversal = try #require(GradientReversal(config))
    for (step, lambda) in table { #expect(abs(reversal.lambda(at: step) - lambda) < 1e-12, "step \(step)") }
    let all = (1...steps).map(reversal.lambda)
    #expect(zip(all, all.dropFirst()).allSatisfy { $0 < $1 } && all.allSatisfy { (0...most).contains($0) })
  }

  @Test func noAdversaryNoReversal() { #expect(GradientReversal(config()) == nil) }

  @Test func asASection() throws {
    let config = try readConfig(
      #""adaptation": {"domains": ["a", "b"], "adversary": 0.5, "adversary_alpha": 4, "norms": "all", "domain_field": "source"}"#
    )
    #expect(config.adaptationDomains == ["a", "b"] && config.adaptationAdversary == 0.5)
    #expect(config.adaptationAdversaryAlpha == 4 && config.adaptationNorms == .all)
    #expect(config.adaptationDomainField == "source")
    #expect(
      try NestedLearningConfig(text: config.json().text, file: "b.json", format: .json).json()
        == config.json())
  }

  @Test(arguments: [
    (#""adaptation_adversary": 1"#, "adaptation_domains"),
    (#""adaptation_norms": "all", "adaptation_domains": ["a"]"#, "adaptation_domains"),
    (#""adaptation_domains": ["a", "b"]"#, "adaptation_domains"),
    (#""adaptation_domains": ["a", "a"], "adaptation_norms": "all""#, "adaptation_domains"),
    (#""adaptation_domains": ["a", "b c"], "adaptation_norms": "all""#, "adaptation_domains"),
    (#""adaptation_adversary": -1, "adaptation_domains": ["a", "b"]"#, "adaptation_adversary"),
    (
      #""adaptation_norms": "final", "adaptation_domains": ["a", "b"], "adaptation_adversary_alpha": 3"#,
      "adaptation_adversary_alpha"
    ),
    (#""adaptation_domain_field": "source""#, "adaptation_domain_field"),
    (#""adaptation_adversary": 1, "adaptation_domains": ["a", "b"], "trainable": "full""#, "trainable"),
    (#""adaptation_norms": "all", "adaptation_domains": ["a", "b"], "replay": "self""#, "replay"),
  ])
  func whatDoesNotGoTogether(members: String, key: String) {
    do {
      _ = try readConfig(members)
      Issue.record("\(members) was read")
    } catch { #expect("\(error)".contains(key), "\(error)") }
  }

  /// The discriminator learns with tier 0, scales and shifts of a layer with that layer.
  @Test func tiersOfWhatDependsOnDomains() throws {
    let names = [
      "discriminator.0.weight", "model.layers.0.input_layernorm.domains.a.scale",
      "model.layers.3.post_attention_layernorm.domains.b.shift", "model.norm.domains.a.shift",
    ]
    let parameters = (0..<4).map { (layer: Int) in
      TrainableParameter(
        name: "model.layers.\(layer).self_attn.q_proj.lora_a",
        module: "model.layers.\(layer).self_attn.q_proj",
        layer: layer, count: 1)
    }
    let own = names.map { name in
      let layer = name.split(separator: ".").dropFirst(2).first.flatMap { Int($0) }
      return TrainableParameter(
        name: name, module: name.split(separator: ".").dropLast().joined(separator: "."), layer: layer,
        count: 1)
    }
    let config = config { ($0.numTiers, $0.tierUpdateFrequencies) = (2, [1, 4]) }
    let scheduler = try ParameterTierScheduler(config: config, parameters: parameters + own)
    let tiers = names.map { scheduler.tier(of: $0) }
    #expect(tiers == [0, 0, 1, 1])
  }
}

import Testing

@testable import NestedLearning

@Suite struct NestedAdamTests {
  /// Gradients of one parameter of three numbers; nil where the tier is not updated.
  private let gradients: [[Float]?] = [
    [0.5, -1.25, 3e-3], nil, [-0.75, 0.1, 2e-3], [1.5, -0.3, -1e-3], nil, [0.2, 0.9, 4e-3],
  ]

  // for make in (lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
  //              lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
  //              lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1),
  //              lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-3)):
  //     p = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
  //     o = make([p])
  //     for g in gradients:
  //         p.grad = None if g is None else torch.tensor(g)
  //         o.step()
  //         print(["%.9g" % x for x in p.tolist()])
  @Test(arguments: [
    (
      OptimizerKind.adam, 0.1, 0.9, 0.999, 1e-8,
      [
        [0.99000001, -1.99000001, 0.49000001], [0.99000001, -1.99000001, 0.49000001],
        [0.99093318, -1.98280787, 0.48001188], [0.98569268, -1.97547579, 0.470065713],
        [0.98569268, -1.97547579, 0.470065713], [0.980518758, -1.97243404, 0.460099012],
      ] as [[Float]]
    ),
    (
      .adamw, 0.1, 0.9, 0.999, 1e-8,
      [
        [0.989000022, -1.98800004, 0.489500046], [0.989000022, -1.98800004, 0.489500046],
        [0.990488052, -1.97992659, 0.479307055], [0.985006869, -1.97188413, 0.473308861],
        [0.985006869, -1.97188413, 0.473308861], [0.979706883, -1.96917152, 0.465502948],
      ]
    ),
    (
      .sgd, 0.1, 0.9, 0.999, 1e-8,
      [
        [0.994000018, -1.98549998, 0.499469995], [0.994000018, -1.98549998, 0.499469995],
        [1.00050604, -1.98451447, 0.498950511], [0.984505534, -1.97952998, 0.498461574],
        [0.984505534, -1.97952998, 0.498461574], [0.98152101, -1.98655045, 0.497923106],
      ]
    ),
    (
      .adam, 0, 0.8, 0.95, 1e-3,
      [
        [0.990019977, -1.990008, 0.492500007], [0.990019977, -1.990008, 0.492500007],
        [0.993050992, -1.98430288, 0.485588759], [0.988188326, -1.9785645, 0.482287467],
        [0.988188326, -1.9785645, 0.482287467], [0.983687222, -1.97892988, 0.47686854],
      ]
    ),
  ])
  func updatesArePyTorchs(
    kind: OptimizerKind, decay: Double, beta1: Double, beta2: Double, eps: Double, expected: [[Float]]
  ) throws {
    var optimizer = NestedAdam(
      config: config {
        $0.optimizer = kind
        $0.weightDecay = decay
        $0.beta1 = beta1
        $0.beta2 = beta2
        $0.eps = eps
      }, tierCount: 2, counts: ["p": 3])
    var parameters: [String: [Float]] = ["p": [1, -2, 0.5]]
    for (gradient, expected) in zip(gradients, expected) {
      if let gradient {
        let changed = try optimizer.update(
          tier: 1, rate: 0.01, parameters: &parameters, gradients: ["p": gradient])
        #expect(changed)
      }
      for (value, reference) in zip(parameters["p"] ?? [], expected) {
        #expect(abs(value - reference) <= reference.ulp, "\(value) \(reference)")
      }
    }
    #expect(optimizer.updateCounts == [0, 4])
  }

  /// The definition: βᵗ is what t multiplications give, so an optimizer that is made at t = 5000 (β₁ᵗ is then
  /// denormal) goes on as the one that got there.
  @Test func anOptimizerIsMadeAtAnyCount() throws {
    let config = config { $0.beta1 = 0.86 }
    var parameters: [String: [Float]] = ["p": [1, 2, 3]]
    var optimizer = NestedAdam(config: config, tierCount: 1, counts: ["p": 3])
    for i in 0..<5000 {
      let gradient = (0..<3).map { Float((i * 31 + $0 * 7) % 13 - 6) }
      _ = try optimizer.update(tier: 0, rate: 1e-3, parameters: &parameters, gradients: ["p": gradient])
    }
    var again = NestedAdam(config: config, updateCounts: [5000], moments: optimizer.moments)
    var copy = parameters
    _ = try optimizer.update(tier: 0, rate: 1e-3, parameters: &parameters, gradients: ["p": [1, -1, 0]])
    _ = try again.update(tier: 0, rate: 1e-3, parameters: &copy, gradients: ["p": [1, -1, 0]])
    #expect(copy == parameters)
    #expect(again.moments == optimizer.moments)
  }

  @Test func whatDoesNotFitIsRefusedAndChangesNothing() throws {
    var optimizer = NestedAdam(config: config(), tierCount: 1, counts: ["p": 2])
    var parameters: [String: [Float]] = ["p": [1, 2]]
    let wrong: [(GradientSums, TrainerError)] = [
      (["p": [1, .nan]], .notFinite(name: "p")), (["p": [-.infinity, 0]], .notFinite(name: "p")),
      (["q": [1, 2]], .gradients(name: "q", "belongs to no parameter")),
      (["p": [1]], .gradients(name: "p", "has 1 numbers for 2 of the parameter")),
    ]
    for (gradients, error) in wrong {
      #expect(throws: error) {
        try optimizer.update(tier: 0, rate: 1, parameters: &parameters, gradients: gradients)
      }
    }
    #expect(parameters == ["p": [1, 2]])
    #expect(optimizer.updateCounts == [0])
    #expect(optimizer.moments["p"]?.mean == [0, 0])
  }

  @Test func changeIsSeenToTheBit() throws {
    var optimizer = NestedAdam(config: config { $0.optimizer = .sgd }, tierCount: 1, counts: ["p": 2])
    var parameters: [String: [Float]] = ["p": [1, 2]]
    // 2⁻²⁶ is less than half the distance to the next float below 1; 2⁻²⁴ is that distance.
    #expect(try !optimizer.update(tier: 0, rate: 1, parameters: &parameters, gradients: ["p": [0x1p-26, 0]]))
    #expect(try optimizer.update(tier: 0, rate: 1, parameters: &parameters, gradients: ["p": [0x1p-24, 0]]))
  }
}

@Suite struct GradientClippingTests {
  private func numbers(_ count: Int, _ k: Int) -> [Float] {
    (0..<count).map { Float(($0 * 37 + k * 11) % 101 - 50) / 16 }
  }

  // def numbers(n, k): return torch.tensor([((i * 37 + k * 11) % 101 - 50) / 16 for i in range(n)])
  // a.grad, b.grad = numbers(130, 1), numbers(77, 2)
  // n = torch.nn.utils.clip_grad_norm_([a, b], 1.0)
  // print(n, a.grad[0], a.grad[129], b.grad[76])   # 26.276474 -0.0927635804 -0.0309211947 -0.104656346
  // norms of a.grad and b.grad before, in Python's floats: 20.800484519597134, 16.055932509511866
  @Test func clippingIsPyTorchs() throws {
    let gradients = [0: ["a": numbers(130, 1)], 2: ["b": numbers(77, 2)]]
    let clipping = try GradientClipping(gradients: gradients, tierCount: 3, maximumNorm: 1)
    #expect(Float(clipping.norm) == 26.276474)
    #expect(abs(clipping.tierNorms[0] - 20.800484519597134) < 1e-14)
    #expect(clipping.tierNorms[1] == 0)
    #expect(abs(clipping.tierNorms[2] - 16.055932509511866) < 1e-14)
    for (value, expected) in [
      (numbers(130, 1)[0], -0.0927635804), (numbers(130, 1)[129], -0.0309211947),
      (numbers(77, 2)[76], -0.104656346),
    ] as [(Float, Float)] {
      #expect(abs(value * clipping.scale - expected) <= expected.ulp)
    }
  }

  @Test func smallOrUnlimitedGradientsStay() throws {
    let gradients = [0: ["a": numbers(130, 1), "b": numbers(77, 2)]]
    #expect(try GradientClipping(gradients: gradients, tierCount: 1, maximumNorm: 1000).scale == 1)
    #expect(try GradientClipping(gradients: gradients, tierCount: 1, maximumNorm: nil).scale == 1)
    let none = try GradientClipping(gradients: [:], tierCount: 2, maximumNorm: 1)
    #expect(none.norm == 0 && none.tierNorms == [0, 0] && none.scale == 1)
  }

  @Test func aGradientThatIsNotFiniteIsNamed() {
    let gradients: [Int: GradientSums] = [0: ["c": [1], "b": [1, .infinity]], 1: ["d": [.nan]]]
    #expect(throws: TrainerError.notFinite(name: "b")) {
      try GradientClipping(gradients: gradients, tierCount: 2, maximumNorm: 1)
    }
    // The square of the largest float does not overflow.
    #expect(throws: Never.self) {
      try GradientClipping(
        gradients: [0: ["a": [.greatestFiniteMagnitude]]], tierCount: 1, maximumNorm: nil)
    }
  }
}

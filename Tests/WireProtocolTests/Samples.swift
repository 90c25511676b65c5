import JSON
import WireProtocol

/// One message of every kind, with all of its fields filled.
enum Samples {
  static let digest = String(repeating: "0123456789abcdef", count: 4)

  static let session = SessionID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)

  static func envelope(_ type: MessageType) -> Envelope {
    Envelope(
      type: type, work: RunTerm(RunNumber(1), term: 7), session: session, sequence: 42, correlation: 41)
  }

  static let hello = Hello(
    program: "nl-worker 1.0", numericProfile: "f32-1", isa: "avx2", threads: 4, host: "höst", processID: 123,
    localIndex: 3, modelSHA256: digest, numericProfiles: ["f32-1", "bf16-1"],
    localSecret: "0123abcd", terms: [digest: .max, "other": 3])

  static let welcome = Welcome(workerID: 5, heartbeatSeconds: 0.5)

  static let enterRun = EnterRun(
    workerID: 5, run: digest, plan: 2, modelPath: "/models/base", modelSHA256: digest,
    trainable: ["rank": 8, "alpha": 16.5],
    tiers: [[TierParameter(name: "a", shape: [2, 3]), TierParameter(name: "b", shape: [4])], []],
    numericProfile: "bf16-1", recomputesLayers: true)

  static let assign = AssignMessage(
    attempt: 9, purpose: .train, step: 12, leafCount: 3, level: 1, index: 0, tiers: [0, 2], window: true,
    digestOnly: true,
    stepTokens: 17,
    windows: [
      WindowOrder(tier: 0, returns: .sum, chains: [.start, .given]),
      WindowOrder(tier: 2, returns: .copy, chains: [.proceed(sha256: digest), .separate]),
    ], parameterVersions: [3, 2, 1], dropoutSeed: .max,
    microBatches: [
      AssignedMicroBatch(number: 0, tokens: [1, 2, 3], offsets: [0, 2, 3], labels: [2, -100, -100]),
      AssignedMicroBatch(number: 1, tokens: [4, 5], offsets: [0, 2], labels: [5, -100]),
    ])

  static let result = ResultMessage(
    attempt: 9, lossSum: 0.1 + 0.2, tokens: 17, seconds: 0.25, progress: 48,
    gradients: [
      TierGradient(tier: 0, microBatch: 0, floats: [1, -0.0, .leastNonzeroMagnitude]),
      TierGradient(tier: 0, microBatch: 1, floats: [.infinity]),
      TierGradient(tier: 2, floats: []),
    ])

  static let collect = AssignMessage(
    attempt: 11, purpose: .collect, step: 12, leafCount: 3, level: 1, index: 1, tiers: [1], window: true,
    stepTokens: 17, windows: [WindowOrder(tier: 1, returns: .copy, chains: [.proceed(sha256: digest)])],
    parameterVersions: [3, 2, 1], microBatches: [])

  private static let row = AssignedMicroBatch(
    number: 0, tokens: [1, 2, 3], offsets: [0, 2, 3], labels: [2, -100, -100])

  static let weighted = AssignMessage(
    attempt: 12, purpose: .train, step: 12, leafCount: 1, level: 0, index: 0, tiers: [0], window: false,
    stepTokens: 17, parameterVersions: [3],
    microBatches: [
      AssignedMicroBatch(
        number: 0, tokens: [1, 2, 3], offsets: [0, 2, 3], labels: [2, -100, -100], replayedRows: [1],
        rowWeights: [0.5, 1])
    ])

  static let ofTasks = AssignMessage(
    attempt: 16, purpose: .train, step: 12, leafCount: 1, level: 0, index: 0, tiers: [0], window: false,
    stepTokens: 3, parameterVersions: [3],
    microBatches: [
      AssignedMicroBatch(
        number: 0, tokens: [1, 2, 3], offsets: [0, 2, 3], labels: [-100, 1, 0], rowWeights: [0.5, 1],
        rowTasks: [0, 63])
    ])

  static let ofDomains: AssignMessage = {
    var batch = AssignedMicroBatch(
      number: 0, tokens: [1, 2, 3], offsets: [0, 2, 3], labels: [2, -100, -100])
    (batch.rowDomains, batch.adversary) = ([0, 255], AdversaryFactors(weight: 1.5, reversal: 0.25))
    return AssignMessage(
      attempt: 16, purpose: .train, step: 12, leafCount: 1, level: 0, index: 0, tiers: [0], window: false,
      stepTokens: 3, parameterVersions: [3], microBatches: [batch])
  }()

  static let domainSums = ResultMessage(
    attempt: 16, lossSum: 0.5,
    terms: ObjectiveTerms(objective: 0.75, domains: TaskSums(loss: 0.25, places: 3, correct: 2)),
    tokens: 17, seconds: 0.25, gradients: [TierGradient(tier: 0, floats: [3])])

  static let measured = AssignMessage(
    attempt: 13, purpose: .train, step: 1, leafCount: 1, level: 0, index: 0, tiers: [0], window: false,
    measure: .squaredGradients, stepTokens: 17, parameterVersions: [0], microBatches: [row])

  static let sampled = AssignMessage(
    attempt: 15, purpose: .train, step: 1, leafCount: 1, level: 0, index: 0, tiers: [0], window: false,
    measure: .sampledTexts,
    sampling: TextSampling(seed: .max, first: 256, rows: 32, maxTokens: 24, endTokens: [2, 151_643]),
    stepTokens: 2,
    parameterVersions: [0],
    microBatches: [
      AssignedMicroBatch(number: 0, tokens: [1, 2, 3], offsets: [0, 2, 3], labels: [-100, 0, 0])
    ])

  static let scaled = AssignMessage(
    attempt: 14, purpose: .evaluate, step: 12, leafCount: 1, level: 0, index: 0, tiers: [], window: false,
    stepTokens: 17, parameterVersions: [3], adapterScale: 0.95, microBatches: [row])

  static let counting = AssignMessage(
    attempt: 16, purpose: .evaluate, step: 12, leafCount: 1, level: 0, index: 0, tiers: [], window: false,
    accuracy: true, stepTokens: 17, parameterVersions: [3], microBatches: [row])

  static let counted: ResultMessage = {
    var result = ResultMessage(attempt: 16, lossSum: 0.5, tokens: 17, seconds: 0.25, gradients: [])
    result.correct = 16
    result.residentBytes = 123_456_789
    return result
  }()

  static let objective = ResultMessage(
    attempt: 12, lossSum: 0.5, terms: ObjectiveTerms(replay: 0.25, divergence: 0.1, objective: 0.75),
    tokens: 17,
    seconds: 0.25, gradients: [TierGradient(tier: 0, floats: [3])])

  static let taskSums = ResultMessage(
    attempt: 16, lossSum: 0.5,
    terms: ObjectiveTerms(
      objective: 0.75,
      tasks: [
        TaskSums(
          loss: 0.25, places: 3, correct: 2,
          labels: [
            .init(correct: 1, predicted: 1, actual: 2), .init(correct: 1, predicted: 2, actual: 1),
          ]),
        TaskSums(loss: 0.1, places: 14),
      ]),
    tokens: 17, seconds: 0.25, gradients: [TierGradient(tier: 0, floats: [3])])

  static let chains = ResultMessage(
    attempt: 11, lossSum: 0, tokens: 0, seconds: 0, gradients: [],
    chains: [
      WindowChain(tier: 1, microBatch: 2, floats: [1.5]), WindowChain(tier: 1, microBatch: 10, floats: [2]),
    ],
    windows: [
      WindowReport(tier: 1, microBatch: 2, first: 9, last: 12, chain: digest, gradient: nil),
      WindowReport(tier: 1, microBatch: 10, first: 9, last: 12, chain: digest, gradient: digest),
      WindowReport(tier: 2, microBatch: 2, first: 12, last: 12, chain: nil, gradient: digest),
    ])

  static let window = WindowMessage(
    step: 11, firsts: [9, 1],
    chains: [
      WindowChain(tier: 1, microBatch: 2, floats: [-0.0]), WindowChain(tier: 2, microBatch: 0, floats: [7]),
    ])

  static let digests = ResultMessage(
    attempt: 10, lossSum: -1, tokens: 17, seconds: 0, gradients: [],
    digests: [GradientDigest(name: "tier.0", byteCount: 12, sha256: digest)])

  static let layers = ResultMessage(
    attempt: 10, lossSum: 1, tokens: 17, seconds: 0, gradients: [TierGradient(tier: 0, floats: [1])],
    layers: LayerDigests(forward: [0, .max, 1 << 63], backward: [5], gradients: [], sums: [7, 8]))

  static let parameters = ParametersMessage(
    tier: 1, version: 4, digest: digest,
    values: WireObject(name: "tier", floats: (0..<60_000).map { Float($0) }))

  static let announced = ObjectDeclaration(WireObject(name: "tier.0", floats: [1, 2]))

  static let transfers: [Message] =
    TransferKind.allCases.flatMap { kind in
      [
        .offer(
          TransferOffer(
            transfer: 3, of: kind == .result ? .result : .parameters, fields: ["attempt": 9, "x": [1, nil]],
            objects: [announced])),
        .credit(TransferCredit(transfer: 3, bytes: 4 << 20, received: 1 << 20)),
        .credit(TransferCredit(transfer: 3, bytes: 5 << 20, received: 4 << 20, from: 4 << 20)),
        .chunk(TransferChunk(transfer: 3, object: 2, offset: 262_144, payload: WireSlice([1, 2, 3]))),
        .acknowledgement(TransferAck(transfer: 3, outcome: .received)),
        .acknowledgement(TransferAck(transfer: 3, outcome: .corrupt)),
      ].map { .transfer(TransferMessage(kind, $0)) }
    } + [
      .transfer(
        TransferMessage(
          .result,
          .acknowledgement(
            TransferAck(transfer: 3, outcome: .refused(ResultAck(attempt: 9, outcome: .stale))))))
    ]

  static let model: [Message] = [
    .model(
      .offer(
        ModelOffer(
          modelSHA256: digest,
          files: [
            ModelOffer.File(name: "config.json", byteCount: 700, sha256: digest),
            ModelOffer.File(name: "model-00001-of-00002.safetensors", byteCount: 1 << 40, sha256: digest),
          ]))),
    .model(.credit(ModelCredit(received: 0))),
    .model(
      .credit(ModelCredit(received: 1 << 50, ModelCredit.Piece(file: 1, offset: 1 << 39, byteCount: 1 << 20)))
    ),
    .model(.credit(.report(received: 17))),
    .model(.chunk(ModelChunk(file: 1, offset: 1 << 39, payload: WireSlice([9, 8, 7])))),
  ]

  static let all: [Message] =
    transfers + model + [
      .hello(hello), .welcome(welcome), .enterRun(enterRun), .leaveRun,
      .reject(Reject(code: .numericProfile, reason: "other bits")),
      .ready(Ready(modelSHA256: digest)), .parameters(parameters), .assign(assign), .result(result),
      .result(digests), .assign(weighted), .assign(ofTasks), .result(taskSums), .assign(ofDomains),
      .result(domainSums), .assign(measured),
      .assign(sampled), .assign(scaled), .assign(counting), .result(counted),
      .result(objective), .result(layers),
      .assign(collect), .result(chains), .window(window),
      .probe(Probe(seed: .max)), .probeResult(ProbeResult(sha256: digest)),
      .accept(Accept(attempt: 9)), .decline(Decline(attempt: 9, code: .parameters, reason: "none")),
      .leaseRenew(LeaseRenew(attempt: 9, progress: 12)), .cancel(Cancel(attempt: 9)),
      .cancelled(Cancelled(attempt: 9)),
      .resultAck(ResultAck(attempt: 9, outcome: .duplicate)), .ping, .pong, .drain, .drained, .goodbye,
      .error(ErrorMessage(code: .compute, reason: "no memory", attempt: 9)), .status(StatusRequest()),
      .status(StatusRequest(folder: "/runs/demo")),
      .control(Control(.pause, folder: "/runs/demo", token: "t")),
      .statusReply(StatusReply(status: ["state": "paused", "workers": [], "step": 12])),
    ]

  static func frames(_ message: Message) throws -> [[UInt8]] {
    try EncodedMessage(message, envelope: envelope(message.type)).frames
  }
}

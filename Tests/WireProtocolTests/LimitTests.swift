import Digests
import Harness
import JSON
import Testing
import WireProtocol

/// Lengths are judged where they are declared, before the bytes that they announce come, and fields are held to
/// their ranges.
@Suite struct LimitTests {
  /// The error of the first frames of a message: nothing beyond them has been sent, so nothing can have been
  /// allocated for what they announce.
  private func kind(of frames: [[UInt8]], limits: WireLimits = WireLimits()) -> ProtocolError.Kind? {
    var decoder = MessageDecoder(limits: limits)
    for frame in frames {
      do {
        try frame.withUnsafeBytes { try decoder.add(frame: $0) }
      } catch {
        return (error as? ProtocolError)?.kind
      }
    }
    return nil
  }

  @Test func headerLimits() {
    #expect(kind(of: Forged.header(type: 1, body: .max)) == .limit)
    #expect(kind(of: Forged.header(type: 1, objects: .max)) == .limit)
    #expect(kind(of: Forged.header(type: 1, payload: .max)) == .limit)
    #expect(kind(of: Forged.header(type: 1, payload: 262_144)) == nil)
    #expect(kind(of: Forged.header(type: 1, payload: 262_145)) == .limit)
    #expect(kind(of: Forged.header(type: 1, body: 4 << 20)) == nil)
    #expect(kind(of: Forged.header(type: 1, body: 4 << 20 + 1)) == .limit)
  }

  private func object(_ name: String, _ bytes: String, _ digest: String = Samples.digest) -> String {
    #"{"name": "\#(name)", "bytes": \#(bytes), "sha256": "\#(digest)"}"#
  }

  /// Descriptions of objects that cannot be, each refused with the body.
  @Test func objectLimits() {
    func kind(_ list: [String], payload: UInt32) -> ProtocolError.Kind? {
      let body = Array(#"{"objects": [\#(list.joined(separator: ", "))]}"#.utf8)
      let head = Forged.header(
        type: 24, objects: UInt32(list.count), body: UInt32(body.count), payload: payload,
        bodyChecksum: Checksums.crc32c(body))
      return self.kind(of: head + [body])
    }
    #expect(kind([object("tier", "262144")], payload: 262_144) == nil)
    #expect(kind([object("tier", "262140"), object("b", "4")], payload: 262_144) == nil)
    #expect(kind([object("tier", "262144")], payload: 4) == .body)
    #expect(kind([object("tier", "\((4 << 30) + 1)")], payload: 4) == .limit)
    // What is larger is transferred.
    #expect(kind([object("tier", "262145")], payload: 262_144) == .limit)
    #expect(kind([object("tier", "262144"), object("b", "4")], payload: 262_144) == .limit)
    #expect(kind([object("tier", "\(4 << 30)"), object("b", "\(4 << 30)")], payload: 4) == .limit)
    #expect(kind([object("tier", "-1")], payload: 1) == .body)
    #expect(kind([object("tier", "1e300")], payload: 1) == .body)
    #expect(kind([object("tier", "4", "abc")], payload: 4) == .body)
    #expect(kind([object("", "4")], payload: 4) == .body)
    #expect(kind([object(String(repeating: "x", count: 65), "4")], payload: 4) == .body)
    #expect(kind([object("a", "4"), object("a", "4")], payload: 8) == .body)
  }

  /// Digests of layers are whole, in lower-case digits, and no more than a result may have.
  @Test func layerDigests() {
    func kind(_ layers: String) -> ProtocolError.Kind? {
      let body =
        #"{"attempt": 1, "loss_sum": "3ff0000000000000", "tokens": 1, "seconds": 0, "layers": \#(layers)}"#
      do { _ = try MessageDecoder.decode(frames: Forged.frames(type: 52, body: body, objects: [])) } catch {
        return error.kind
      }
      return nil
    }
    func layers(_ forward: String, _ sums: String = "") -> String {
      #"{"forward": "\#(forward)", "backward": "", "gradients": "", "sums": "\#(sums)"}"#
    }
    let digest = "0123456789abcdef"
    #expect(kind("null") == nil && kind(layers("")) == nil && kind(layers(digest, digest + digest)) == nil)
    #expect(kind(layers(String(repeating: digest, count: 16_384))) == nil)
    for bad in [
      layers(String(repeating: digest, count: 16_385)), layers("012"), layers(digest.uppercased()),
      layers("", digest + "0123456789abcdeg"), "[]", "1", #"{"forward": ""}"#,
      #"{"forward": [], "backward": "", "gradients": "", "sums": ""}"#,
    ] { #expect(kind(bad) == .field, "\(bad.prefix(80))") }
  }

  /// An offer's segments are as many as its length has, and each has a digest; what is there already is no more than what
  /// has come.
  @Test func segments() {
    func kind(_ type: UInt8, _ body: String) -> ProtocolError.Kind? {
      self.kind(of: Forged.frames(type: type, body: body, objects: [])) ?? decodeKind(type, body)
    }
    func decodeKind(_ type: UInt8, _ body: String) -> ProtocolError.Kind? {
      do { _ = try MessageDecoder.decode(frames: Forged.frames(type: type, body: body, objects: [])) } catch {
        return error.kind
      }
      return nil
    }
    func offer(_ bytes: Int, _ segments: String) -> String {
      let object =
        #"{"name": "tier.0", "bytes": \#(bytes), "sha256": "\#(Samples.digest)", "segments": \#(segments)}"#
      return #"{"transfer": 1, "of": 52, "fields": {}, "objects": [\#(object)]}"#
    }
    let digest = #""\#(Samples.digest)""#
    #expect(kind(48, offer(4 << 20, "[]")) == nil)
    #expect(kind(48, offer(4 << 20, "null")) == nil)
    #expect(kind(48, offer(4 << 20 + 1, "[\(digest)]")) == nil)
    #expect(kind(48, offer(8 << 20 + 1, "[\(digest)]")) == .body)
    #expect(kind(48, offer(4 << 20, "[\(digest)]")) == .body)
    #expect(kind(48, offer(4 << 20 + 1, "[1]")) == .body)
    #expect(kind(48, offer(4 << 20 + 1, "{}")) == .body)
    #expect(kind(49, #"{"transfer": 1, "bytes": 5, "received": 5, "from": 5}"#) == nil)
    #expect(kind(49, #"{"transfer": 1, "bytes": 5, "received": 4, "from": 5}"#) == .field)
    #expect(kind(49, #"{"transfer": 1, "bytes": 5, "received": 4, "from": 0}"#) == .field)
  }

  /// A sender is held to the same limits.
  @Test func senderLimits() {
    var limits = WireLimits()
    limits.objectBytes = 7
    #expect {
      try EncodedMessage(.result(Samples.result), envelope: Samples.envelope(.result), limits: limits)
    } throws: { ($0 as? ProtocolError)?.kind == .limit && "\($0)".contains("tier.0.0") }
    limits = WireLimits()
    limits.bodyBytes = 10
    #expect {
      try EncodedMessage(.hello(Samples.hello), envelope: Samples.envelope(.hello), limits: limits)
    } throws: { ($0 as? ProtocolError)?.kind == .limit }
  }

  /// Bodies that are no JSON object, and fields out of range: refused by message and field.
  @Test(
    arguments: [
      (1, "[]", "JSON object"), (1, "{", "line 1"), (1, "{}", "HELLO"),
      (6, "{}", "\"model_sha256\" is missing"),
      (6, #"{"model_sha256": "ABC"}"#, "64 lower-case"), (6, #"{"model_sha256": 5}"#, "64 lower-case"),
      (51, #"{"attempt": 0, "outcome": "stale"}"#, "\"attempt\""),
      (51, #"{"attempt": 1.5, "outcome": "stale"}"#, "\"attempt\""),
      (51, #"{"attempt": 99999999999999999999, "outcome": "stale"}"#, "\"attempt\""),
      (51, #"{"attempt": 1, "outcome": "perhaps"}"#, "committed, duplicate"),
      (52, #"{"attempt": 1, "loss_sum": 0.5, "tokens": 1, "seconds": 0}"#, "16 hexadecimal"),
      (52, #"{"attempt": 1, "loss_sum": "000000000000000g", "tokens": 1, "seconds": 0}"#, "16 hexadecimal"),
      (52, #"{"attempt": 1, "loss_sum": "0000000000000000", "tokens": 1, "seconds": -1}"#, "\"seconds\""),
      (3, #"{"code": "model"}"#, "\"reason\" is missing"),
    ] as [(UInt8, String, String)])
  func fields(type: UInt8, body: String, reason: String) {
    #expect {
      try MessageDecoder.decode(frames: Forged.frames(type: type, body: body, objects: []))
    } throws: {
      $0 is ProtocolError && "\($0)".contains(reason)
    }
  }

  /// An ENTER_RUN whose layout overflows, is unsorted or is not positive.
  @Test(arguments: [
    (#"[[{"name": "a", "shape": [1099511627776, 1099511627776]}]]"#, "2^40"),
    (#"[[{"name": "a", "shape": [0]}]]"#, "not positive"),
    (#"[[{"name": "a", "shape": [-2]}]]"#, "not positive"),
    (#"[[{"name": "b", "shape": [1]}, {"name": "a", "shape": [1]}]]"#, "ascending"),
    (#"[[{"name": "a", "shape": [1]}, {"name": "a", "shape": [1]}]]"#, "ascending"),
    (#"[1]"#, "list of lists"),
    (#"[[{"name": "a"}]]"#, "a name and a shape"),
  ]) func layouts(tiers: String, reason: String) {
    let body = """
      {"worker_id": 1, "run": "r", "plan": 1, "model_path": "/m", "model_sha256": "\(Samples.digest)",
       "trainable": "full", "tiers": \(tiers)}
      """
    #expect { try MessageDecoder.decode(frames: Forged.frames(type: 7, body: body, objects: [])) } throws: {
      "\($0)".contains(reason)
    }
  }

  /// ASSIGN with a node outside the tree, rows that do not fit their tokens, missing and foreign objects.
  @Test func assignments() throws {
    func refused(_ reason: String, _ change: (inout AssignMessage) -> Void) throws {
      var message = Samples.assign
      message.windows = []
      change(&message)
      let frames = try Samples.frames(.assign(message))
      #expect { try MessageDecoder.decode(frames: frames) } throws: { "\($0)".contains(reason) }
    }
    try refused("\"level\"") { $0.level = 63 }
    try refused("without micro-batches") { $0.index = 2 }
    try refused("more than 256 micro-batches") { ($0.leafCount, $0.level, $0.index) = (257, 9, 0) }
    try refused("\"index\"") { $0.index = -1 }
    try refused("\"leaf_count\"") { $0.leafCount = 0 }
    try refused("must ascend and have a version") { $0.tiers = [2, 0] }
    try refused("must ascend and have a version") { $0.tiers = [0, 3] }
    try refused("\"step_tokens\"") { $0.stepTokens = 0 }
    try refused("\"tokens.1\" is missing") { $0.microBatches.removeLast() }
    try refused("\"tokens.2\" is missing") { $0.index = 1 }
    try refused("\"labels.1\" does not belong") { $0.level = 0 }
    try refused("offsets.0") { $0.microBatches[0].offsets = [0, 4] }
    try refused("offsets.0") { $0.microBatches[0].offsets = [0, 3, 2, 3] }
    try refused("offsets.0") { $0.microBatches[0].offsets = [] }
    try refused("labels.0") { $0.microBatches[0].labels = [1] }
    try refused("labels.0") { $0.microBatches[0].labels = [1, -1, 1] }
    try refused("tokens.0") { $0.microBatches[0].tokens = [1, -2, 3] }
  }

  /// Weights, measures and scales that do not go with the rest.
  @Test func measuresAndScales() throws {
    func refused(_ base: AssignMessage, _ reason: String, _ change: (inout AssignMessage) -> Void) throws {
      var message = base
      change(&message)
      let frames = try Samples.frames(.assign(message))
      #expect { try MessageDecoder.decode(frames: frames) } throws: { "\($0)".contains(reason) }
    }
    try refused(Samples.measured, "without windows alone") { $0.purpose = .evaluate }
    try refused(Samples.measured, "without windows alone") { $0.window = true }
    try refused(Samples.sampled, "is missing") { $0.sampling = nil }
    try refused(Samples.sampled, "sampled_texts alone") { $0.measure = .tokenLosses }
    try refused(Samples.sampled, "how texts are drawn") { $0.sampling?.maxTokens = 0 }
    try refused(Samples.sampled, "how texts are drawn") { $0.sampling?.rows = 65_536 }
    try refused(Samples.sampled, "how texts are drawn") { $0.sampling?.first = -1 }
    try refused(Samples.sampled, "how texts are drawn") { $0.sampling?.endTokens = [-1] }
    try refused(Samples.scaled, "above 0 and up to 1") { $0.adapterScale = 0 }
    try refused(Samples.scaled, "above 0 and up to 1") { $0.adapterScale = 1.5 }
    try refused(Samples.scaled, "above 0 and up to 1") { $0.adapterScale = .nan }
    try refused(Samples.scaled, "in an evaluation") { $0.purpose = .train }
    try refused(Samples.counting, "an evaluation alone") { $0.purpose = .train }
    try refused(Samples.weighted, "for each row") { $0.microBatches[0].rowWeights = [1] }
    try refused(Samples.weighted, "at least 0") { $0.microBatches[0].rowWeights = [1, -1] }
    try refused(Samples.weighted, "at least 0") { $0.microBatches[0].rowWeights = [1, .nan] }
    try refused(Samples.weighted, "ascending") { $0.microBatches[0].replayedRows = [2] }
    try refused(Samples.ofTasks, "number of a task for each row") { $0.microBatches[0].rowTasks = [1] }
    try refused(Samples.ofTasks, "number of a task for each row") { $0.microBatches[0].rowTasks = [0, 64] }
    try refused(Samples.ofTasks, "number of a task for each row") { $0.microBatches[0].rowTasks = [-1, 0] }
    for numbers: [Int32] in [[1], [0, 256], [-1, 0]] {
      try refused(Samples.ofDomains, "number of a domain for each row") {
        $0.microBatches[0].rowDomains = numbers
      }
    }
    for (weight, reversal): (Float, Float) in [(-1, 0), (0, -1), (.nan, 0), (0, .infinity)] {
      try refused(Samples.ofDomains, "two numbers of at least 0") {
        $0.microBatches[0].adversary = AdversaryFactors(weight: weight, reversal: reversal)
      }
    }
    try refused(Samples.ofDomains, "domains of rows alone") { $0.microBatches[0].rowDomains = [] }
  }

  /// Orders for windows that do not fit the shard or its purpose.
  @Test func windowOrders() throws {
    func refused(_ base: AssignMessage, _ reason: String, _ change: (inout AssignMessage) -> Void) throws {
      var message = base
      change(&message)
      let frames = try Samples.frames(.assign(message))
      #expect { try MessageDecoder.decode(frames: frames) } throws: { "\($0)".contains(reason) }
    }
    let (assign, collect) = (Samples.assign, Samples.collect)
    func order(_ tier: Int, _ returns: WindowOrder.Returns, _ chains: [ChainOrder]) -> WindowOrder {
      WindowOrder(tier: tier, returns: returns, chains: chains)
    }
    try refused(assign, "one for each tier") { $0.windows.removeLast() }
    try refused(assign, "in order") { $0.windows.swapAt(0, 1) }
    try refused(assign, "an order for each micro-batch") { $0.windows[0] = order(0, .none, [.start]) }
    try refused(assign, "not all kept") { $0.windows[0] = order(0, .sum, [.start, .separate]) }
    try refused(assign, "does not go with train") { $0.windows[0] = order(0, .none, [.start, .skip]) }
    try refused(assign, "a SHA-256 for each chain") {
      $0.windows[0] = order(0, .none, [.start, .proceed(sha256: "abc")])
    }
    try refused(assign, "go with a window alone") { $0.window = false }
    // Whose gradients would there be to add?
    try refused(assign, "do not go with an evaluation") { $0.purpose = .evaluate }
    try refused(collect, "\"windows\" is missing") { $0.windows = [] }
    try refused(collect, "does not go with collect") { $0.windows[0] = order(1, .copy, [.start]) }
    try refused(collect, "does not go with collect") {
      $0.windows[0] = order(1, .none, [.proceed(sha256: Samples.digest)])
    }
    try refused(collect, "does not belong") { $0.microBatches = assign.microBatches }
  }

  /// A report whose steps run backwards or whose digest is none, and a WINDOW without its steps.
  @Test func windowReports() throws {
    func refused(_ report: WindowReport) throws {
      var message = Samples.chains
      message.windows = [report]
      let frames = try Samples.frames(.result(message))
      #expect(throws: ProtocolError.self) { try MessageDecoder.decode(frames: frames) }
    }
    try refused(WindowReport(tier: 1, microBatch: 0, first: 2, last: 1, chain: nil, gradient: nil))
    try refused(WindowReport(tier: 1, microBatch: 0, first: 0, last: 1, chain: nil, gradient: nil))
    try refused(WindowReport(tier: 1024, microBatch: 0, first: 1, last: 1, chain: nil, gradient: nil))
    try refused(WindowReport(tier: 1, microBatch: 1 << 20, first: 1, last: 1, chain: nil, gradient: nil))
    try refused(WindowReport(tier: 1, microBatch: 0, first: 1, last: 1, chain: "12", gradient: nil))
    for change: (inout WindowMessage) -> Void in [
      { $0.firsts = [1] }, { $0.firsts = [1, 12] }, { $0.step = 0 }, { ($0.firsts, $0.chains) = ([], []) },
    ] {
      var message = Samples.window
      change(&message)
      let frames = try Samples.frames(.window(message))
      #expect(throws: ProtocolError.self) { try MessageDecoder.decode(frames: frames) }
    }
  }

  /// Gradients are known by name, and only by the one way of writing it.
  @Test(arguments: [
    "tier", "tier.", "chain.1", "chain.1.2.3", "chain.01.2", "tier.+1", "tier.01", "tier.1.", "tier.1.2.3",
    "tier.1024", "Tier.1", "tier.-1",
  ])
  func gradientNames(name: String) {
    let empty = Digest.sha256([UInt8]())
    let body = """
      {"attempt": 1, "loss_sum": "0000000000000000", "tokens": 1, "seconds": 0,
       "objects": [\(object(name, "0", empty))]}
      """
    #expect {
      try MessageDecoder.decode(frames: Forged.frames(type: 52, body: body, objects: [[]]))
    } throws: {
      "\($0)".contains("is not the name of a gradient")
    }
  }

  @Test func objectsOfTheWrongSize() {
    #expect(throws: ProtocolError.self) { try WireObject(name: "tier", bytes: [1, 2, 3]).floats() }
    #expect(throws: ProtocolError.self) { try WireObject(name: "tier", bytes: [1, 2, 3, 4, 5]).integers() }
  }

  /// Bytes at random after a right start: refused, and never a crash. Ten thousand messages whose checksums fit.
  @Test func randomBodies() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SplitMix64(seed: seed)
    let words = [
      "{", "}", "[", "]", ":", ",", "\"objects\"", "\"attempt\"", "\"tiers\"", "\"name\"", "1", "-1", "1e9",
      "null", "\"tier.0\"", "\"bytes\"", "0",
    ]
    for _ in 0..<10_000 {
      let body = (0..<Int.random(in: 0...20, using: &random)).map { _ in
        words.randomElement(using: &random) ?? ""
      }
      let types = MessageType.allCases.map(\.rawValue)
      let frames = Forged.frames(
        type: types.randomElement(using: &random) ?? 1, body: body.joined(), objects: [])
      if let (envelope, message) = try? MessageDecoder.decode(frames: frames) {
        #expect(envelope.type == message.type, "seed \(seed)")
      }
    }
  }
}

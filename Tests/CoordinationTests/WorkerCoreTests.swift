import Coordination
import Testing
import WireProtocol

/// A worker's life, told event by event.
@Suite struct WorkerCoreTests {
  /// A worker's core and a pen.
  struct Scene {
    var core = WorkerCore(
      settings: WorkerSettings(
        hello: Hello(
          program: "nl-worker", numericProfile: "f32-1", isa: "avx2", threads: 1, host: "h", processID: 1),
        endpoint: "tcp://h:1"))
    let session = SessionID(high: 1, low: 2)
    static let model = String(repeating: "a", count: 64)

    mutating func at(_ seconds: Double, _ event: WorkerEvent) -> String {
      core.step(event, now: .zero + seconds).map(Self.line).joined(separator: "\n")
    }

    mutating func receive(
      _ seconds: Double, _ message: Message, run: UInt32 = 1, term: UInt64 = 4, session: SessionID? = nil
    ) -> String {
      let work = RunTerm(RunNumber(run), term: term)
      let envelope = Envelope(type: message.type, work: work, session: session ?? self.session)
      return at(seconds, .message(envelope, message))
    }

    static func welcome() -> Message { .welcome(Welcome(workerID: 3, heartbeatSeconds: 1)) }

    static func enter(run: String = "one") -> Message {
      .enterRun(
        EnterRun(
          workerID: 3, run: run, modelPath: "/m", modelSHA256: model, trainable: "full",
          tiers: [[TierParameter(name: "x", shape: [2])]]))
    }

    static func parameters(_ version: Int, count: Int = 2) -> Message {
      .parameters(
        ParametersMessage(
          tier: 0, version: version, digest: model,
          values: WireObject(name: "tier", floats: Array(repeating: 1, count: count))))
    }

    static func assign(_ attempt: Int, version: Int) -> Message {
      .assign(
        AssignMessage(
          attempt: attempt, purpose: .train, step: 1, leafCount: 1, level: 0, index: 0, tiers: [0],
          window: false,
          stepTokens: 1, parameterVersions: [version],
          microBatches: [AssignedMicroBatch(number: 0, tokens: [1, 2], offsets: [0, 2], labels: [2, -100])]))
    }

    static func result(_ attempt: Int) -> ResultMessage {
      ResultMessage(attempt: attempt, lossSum: 1, tokens: 1, seconds: 1, gradients: [])
    }

    /// Joined and loaded.
    mutating func begin() {
      _ = at(0, .start)
      _ = receive(0, Self.welcome())
      _ = receive(0, Self.enter())
      _ = at(0, .modelLoaded(sha256: Self.model))
    }

    static func line(_ effect: WorkerEffect) -> String {
      switch effect {
      case .connect: "connect"
      case .abandon: "abandon"
      case .send(.error(let error)): "send ERROR \(error.code.rawValue): \(error.reason)"
      case .send(.decline(let decline)): "send DECLINE \(decline.code.rawValue): \(decline.reason)"
      case .send(let message): "send \(message.type.name)"
      case .loadModel(let run): "load \(run.modelPath)"
      case .takeWindow(let window): "take \(window.chains.map(\.values.name).joined(separator: " "))"
      case .apply(let parameters): "apply tier \(parameters.tier), version \(parameters.version)"
      case .compute(let job, let assign): "compute attempt \(assign.attempt) as job \(job)"
      case .probe(let probe): "probe with seed \(probe.seed)"
      case .stop(let job): "stop job \(job)"
      case .renew(let job, let attempt): "renew attempt \(attempt) with the steps of job \(job)"
      case .log(let line): "log: \(line)"
      case .exit(let successful, let reason): "exit \(successful ? "well" : "badly"): \(reason)"
      case .armTimer(let instant): "timer \(instant)"
      }
    }
  }

  @Test func joinsAndComputes() {
    var scene = Scene()
    #expect(scene.at(0, .start) == "connect\nsend HELLO\ntimer 1.000s")
    #expect(scene.receive(0.5, Scene.welcome()) == "log: joined tcp://h:1")
    #expect(scene.receive(0.5, Scene.enter()) == "log: works on a run as worker 3\nload /m")
    #expect(scene.at(1, .timer) == "send PING\ntimer 2.000s")
    #expect(scene.at(1.5, .modelLoaded(sha256: Scene.model)) == "send READY")
    #expect(scene.receive(2, Scene.parameters(7)) == "apply tier 0, version 7\ntimer 2.500s")
    #expect(scene.receive(2, Scene.assign(9, version: 7)) == "send ACCEPT\ncompute attempt 9 as job 1")
    #expect(
      scene.receive(2, Scene.assign(9, version: 7)) == "", "an assignment that comes twice is computed once")
    #expect(scene.at(2.5, .timer) == "timer 3.000s")
    #expect(scene.at(3, .timer) == "renew attempt 9 with the steps of job 1\ntimer 4.000s")
    #expect(scene.at(3, .computed(job: 1, Scene.result(9))) == "send RESULT")
    #expect(scene.receive(3, .resultAck(ResultAck(attempt: 9, outcome: .committed))) == "")
    #expect(scene.receive(4, .drain) == "send DRAINED\nexit well: the run is over")
    #expect(scene.at(5, .timer) == "")
  }

  /// HELLO is said again on a new socket, ever more slowly, until the worker gives up and says why.
  @Test func nobodyAnswers() {
    var scene = Scene()
    _ = scene.at(0, .start)
    #expect(scene.at(1, .timer) == "connect\nsend HELLO\ntimer 3.000s")
    #expect(scene.at(3, .timer) == "connect\nsend HELLO\ntimer 7.000s")
    #expect(scene.at(7, .timer) == "connect\nsend HELLO\ntimer 15.000s")
    #expect(scene.at(15, .timer) == "connect\nsend HELLO\ntimer 25.000s")
    #expect(scene.at(16, .connectionFailed(reason: "no route")) == "log: the connection failed: no route")
    #expect(
      scene.at(120, .timer)
        == "exit badly: no coordinator answered at tcp://h:1 for 120 s; is it running, and is the address right?"
    )
  }

  /// A part of a message is a sign of life, of a coordinator that has welcomed it.
  @Test func aMessageThatTakesLong() {
    var scene = Scene()
    scene.begin()
    _ = scene.receive(0, Scene.parameters(0))
    _ = scene.receive(0, Scene.assign(1, version: 0))
    #expect(scene.at(9, .arriving) == "timer 1.000s")
    for second in 10..<19 { #expect(scene.at(Double(second), .timer).hasPrefix("renew attempt 1")) }
    #expect(scene.at(19, .timer).hasPrefix("log: nothing was heard of the coordinator for 10 s;"))
  }

  /// A coordinator that falls silent: what was begun is abandoned, and a result of before is not sent to the next.
  @Test func coordinatorFallsSilent() {
    var scene = Scene()
    scene.begin()
    _ = scene.receive(0, Scene.parameters(0))
    _ = scene.receive(0, Scene.assign(1, version: 0))
    for second in 1..<10 { #expect(scene.at(Double(second), .timer).hasPrefix("renew attempt 1")) }
    #expect(
      scene.at(10, .timer) == """
        log: nothing was heard of the coordinator for 10 s; joining again
        abandon
        connect
        send HELLO
        timer 11.000s
        """)
    #expect(scene.at(10.5, .computed(job: 1, Scene.result(1))) == "")
    _ = scene.receive(10.5, Scene.welcome())
    _ = scene.receive(10.5, Scene.enter(), term: 5)
    _ = scene.at(10.5, .modelLoaded(sha256: Scene.model))
    _ = scene.receive(10.6, Scene.parameters(0), term: 5)
    #expect(
      scene.receive(10.6, Scene.assign(1, version: 0), term: 5) == "send ACCEPT\ncompute attempt 1 as job 2")
    #expect(scene.at(10.7, .computed(job: 1, Scene.result(1))) == "")
    #expect(scene.at(10.8, .computed(job: 2, Scene.result(1))) == "send RESULT")
  }

  @Test func unknownSession() {
    var scene = Scene()
    scene.begin()
    #expect(
      scene.receive(0.5, .reject(Reject(code: .unknownSession, reason: "r")), session: SessionID.none)
        == "log: the coordinator does not know this session: r; joining again\nabandon\nconnect\nsend HELLO")
    var full = Scene()
    _ = full.at(0, .start)
    let reject = Message.reject(Reject(code: .full, reason: "512 workers"))
    #expect(
      full.receive(0.5, reject, session: SessionID.none)
        == "log: the coordinator does not take workers now: 512 workers")
    #expect(full.at(120, .timer) == "exit badly: the coordinator at tcp://h:1 takes no workers: 512 workers")
  }

  @Test(arguments: [
    (RejectCode.model, "exit badly"), (.numericProfile, "exit badly"), (.version, "exit badly"),
    (.draining, "exit well"),
  ]) func finalRejections(code: RejectCode, end: String) {
    var scene = Scene()
    _ = scene.at(0, .start)
    #expect(
      scene.receive(1, .reject(Reject(code: code, reason: "r")), session: SessionID.none)
        == "\(end): the coordinator at tcp://h:1 refused: r")
  }

  /// Every run counts its own terms: a worker that has served one to its ninth term joins the first of the next.
  @Test func termsAreOfARun() {
    var scene = Scene()
    _ = scene.at(0, .start)
    _ = scene.receive(0, Scene.welcome())
    _ = scene.receive(0, Scene.enter(run: "one"), term: 9)
    _ = scene.at(1, .connectionFailed(reason: "x"))
    _ = scene.receive(2, Scene.welcome())
    var same = scene
    #expect(
      same.receive(2, Scene.enter(run: "one"), term: 8).hasPrefix(
        "log: a coordinator of term 8 was not listened to: term 9 has begun"))
    #expect(scene.receive(2, Scene.enter(run: "two"), run: 2, term: 1).contains("load /m"))
    // And what it hears from then on of its work is held to the new run and term.
    _ = scene.at(2, .modelLoaded(sha256: Scene.model))
    #expect(scene.receive(2.5, Scene.parameters(1), term: 9) == "")
    #expect(scene.receive(2.5, Scene.parameters(1), run: 2, term: 9) == "")
    #expect(scene.receive(2.5, Scene.parameters(1), run: 2, term: 1) == "apply tier 0, version 1")
  }

  /// A worker changes between runs: what was begun for the first is dropped, and nothing of it is taken for the second's.
  @Test func changesRuns() {
    var scene = Scene()
    scene.begin()
    _ = scene.receive(0, Scene.parameters(0))
    _ = scene.receive(0, Scene.assign(1, version: 0))
    #expect(scene.receive(0.1, .leaveRun) == "abandon")
    #expect(scene.at(0.2, .computed(job: 1, Scene.result(1))) == "")
    #expect(scene.receive(0.3, Scene.assign(2, version: 0)) == "", "it works on no run")
    #expect(
      scene.receive(0.4, Scene.enter(run: "two"), run: 2, term: 1)
        == "log: works on a run as worker 3\nload /m")
    #expect(scene.at(0.5, .modelLoaded(sha256: Scene.model)) == "send READY")
    #expect(
      scene.receive(0.6, Scene.assign(1, version: 0), run: 2, term: 1).hasPrefix("send DECLINE parameters"),
      "the parameters of another run are none of this one's")
    // Without a word in between, as when the first message was lost with its run.
    #expect(
      scene.receive(0.7, Scene.enter(run: "three"), run: 3, term: 1)
        == "abandon\nlog: works on a run as worker 3\nload /m")
    // It leaves when it is told to, over the shard that is not wanted any more.
    var leaving = Scene()
    leaving.begin()
    _ = leaving.receive(0, Scene.parameters(0))
    _ = leaving.receive(0, Scene.assign(1, version: 0))
    _ = leaving.at(0.1, .terminate)
    #expect(leaving.receive(0.2, .leaveRun).hasPrefix("send GOODBYE\nexit well"))
  }

  /// The terms of many runs are kept in mind, not of all.
  @Test func forgetsRuns() {
    var scene = Scene()
    _ = scene.at(0, .start)
    _ = scene.receive(0, Scene.welcome())
    for number in 1...70 {
      _ = scene.receive(0, Scene.enter(run: "run \(number)"), run: UInt32(number), term: 5)
    }
    guard
      case .send(.hello(let hello)) = scene.core.step(.connectionFailed(reason: "x"), now: .zero + 1).first(
        where: {
          if case .send(.hello) = $0 { true } else { false }
        })
    else {
      Issue.record("no HELLO")
      return
    }
    #expect(hello.terms.count == WireLimits.knownRuns)
    #expect(hello.terms["run 70"] == 5 && hello.terms["run 6"] == nil)
  }

  /// A number that is not finite is reported as that.
  @Test func notFinite() {
    var scene = Scene()
    scene.begin()
    _ = scene.receive(0, Scene.parameters(0))
    _ = scene.receive(0, Scene.assign(1, version: 0))
    #expect(
      scene.at(1, .computeFailed(job: 1, reason: "the loss", isNotFinite: true)).contains(
        "send ERROR not_finite: the loss"))
  }

  /// Terms fence: an older coordinator is not listened to, nor are messages of another session or term.
  @Test func fencing() {
    var scene = Scene()
    scene.begin()
    #expect(scene.receive(0.1, Scene.parameters(1), term: 3) == "")
    #expect(scene.receive(0.1, Scene.parameters(1), term: 5) == "")
    #expect(scene.receive(0.1, Scene.parameters(1), run: 2) == "")
    #expect(scene.receive(0.1, .drain, session: SessionID(high: 9, low: 9)) == "")
    _ = scene.receive(0.2, .reject(Reject(code: .unknownSession, reason: "r")))
    _ = scene.receive(0.3, Scene.welcome())
    var old = scene
    #expect(
      old.receive(0.3, Scene.enter(), term: 3).hasPrefix(
        "log: a coordinator of term 3 was not listened to: term 4 has begun; joining again\nabandon\nconnect")
    )
    #expect(scene.receive(0.3, Scene.enter(), term: 4).contains("load /m"))
  }

  @Test func refusesWhatItCannotCompute() {
    var scene = Scene()
    scene.begin()
    #expect(
      scene.receive(0.1, Scene.assign(1, version: 0)).hasPrefix(
        "send DECLINE parameters: tier 0 is asked for at version 0, no version is here"))
    _ = scene.receive(0.1, Scene.parameters(2))
    #expect(scene.receive(0.1, Scene.assign(1, version: 3)).contains("version 3, version 2 is here"))
    #expect(scene.receive(0.1, Scene.parameters(3, count: 5)).contains("tier 0 came with 20 bytes, not 8"))
    _ = scene.receive(0.1, Scene.assign(1, version: 2))
    #expect(
      scene.receive(0.1, Scene.assign(2, version: 2)) == "send DECLINE busy: attempt 1 is being computed")
    #expect(scene.at(0.2, .computeFailed(job: 1, reason: "no memory")) == "send ERROR compute: no memory")
    #expect(scene.receive(0.3, Scene.assign(3, version: 2)).hasSuffix("compute attempt 3 as job 2"))
  }

  /// What is not needed any more is stopped between two layers, and other work taken at once; an attempt that is over
  /// or was never here counts as stopped.
  @Test func stopsWhatIsNotNeeded() {
    var scene = Scene()
    scene.begin()
    _ = scene.receive(0, Scene.parameters(0))
    _ = scene.receive(0, Scene.assign(1, version: 0))
    var fast = scene
    #expect(scene.receive(0.1, .cancel(Cancel(attempt: 7))) == "send CANCELLED")
    #expect(scene.receive(0.2, .cancel(Cancel(attempt: 1))) == "stop job 1")
    #expect(scene.at(0.3, .stopped(job: 1)) == "send CANCELLED")
    #expect(scene.receive(0.4, Scene.assign(2, version: 0)).hasSuffix("compute attempt 2 as job 2"))
    // It may be done before it hears of it.
    #expect(fast.receive(0.2, .cancel(Cancel(attempt: 1))) == "stop job 1")
    #expect(fast.at(0.3, .computed(job: 1, Scene.result(1))) == "send RESULT")
    // Asked to leave as well, it goes once it has stopped.
    var leaving = fast
    _ = leaving.receive(0.4, Scene.assign(2, version: 0))
    _ = leaving.at(0.5, .terminate)
    #expect(leaving.receive(0.6, .cancel(Cancel(attempt: 2))) == "stop job 2")
    #expect(
      leaving.at(0.7, .stopped(job: 2)) == "send CANCELLED\nsend GOODBYE\nexit well: asked to leave")
  }

  @Test func modelThatIsNotTheRuns() {
    var scene = Scene()
    _ = scene.at(0, .start)
    _ = scene.receive(0, Scene.welcome())
    _ = scene.receive(0, Scene.enter())
    var missing = scene
    #expect(
      missing.at(0.5, .modelFailed(reason: "/m does not exist"))
        == "send ERROR model: /m does not exist\nexit badly: the model could not be loaded: /m does not exist"
    )
    #expect(scene.at(0.5, .modelLoaded(sha256: "b")).contains("exit badly: the model is not the run's"))
  }

  @Test func terminates() {
    var idle = Scene()
    idle.begin()
    #expect(idle.at(0.5, .terminate) == "send GOODBYE\nexit well: asked to leave")
    var busy = Scene()
    busy.begin()
    _ = busy.receive(0, Scene.parameters(0))
    _ = busy.receive(0, Scene.assign(1, version: 0))
    #expect(busy.at(0.5, .terminate) == "")
    var slow = busy
    #expect(
      busy.at(2, .computed(job: 1, Scene.result(1))) == "send RESULT\nsend GOODBYE\nexit well: asked to leave"
    )
    for second in stride(from: 1.0, to: 30, by: 1) { _ = slow.receive(second, .pong) }
    #expect(slow.at(30.5, .timer) == "send GOODBYE\nexit well: left without finishing attempt 1")
  }
}

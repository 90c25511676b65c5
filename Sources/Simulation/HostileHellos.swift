import Coordination
import Transport
import WireProtocol

/// HELLOs that no program of ours would say: with fields at the ends of what they may be or beyond, in the middle of a
/// session, or over many connections of one key.
extension Hello {
  func altered(using random: inout SplitMix64) -> Hello {
    var hello = self
    func one<Value>(of values: [Value], _ other: Value) -> Value {
      values.randomElement(using: &random) ?? other
    }
    let long = String(repeating: "x", count: 256)
    switch Int.random(in: 0..<9, using: &random) {
    case 0: hello.program = one(of: ["", long, long + "x", "nl-worker\u{0}"], "")
    case 1:
      hello.numericProfile = one(of: ["", "other", long], "other")
      hello.numericProfiles = one(of: [[], ["other"], Array(repeating: "toy", count: 17)], [])
    case 2: hello.threads = one(of: [0, 1, -1, 65_536, 65_537, Int.max], 0)
    case 3: hello.host = one(of: ["", "host0", long, long + "x"], "")
    case 4: hello.processID = one(of: [0, -1, 1001, Int(Int32.max), Int.max], 0)
    case 5:
      hello.localIndex = one(of: [0, 1, 2, 65_535, 65_536, -1], 0)
      hello.localSecret = one(of: ["", "secret 0.1", nil, String(repeating: "s", count: 65)], nil)
    case 6: hello.modelSHA256 = one(of: [String(repeating: "f", count: 64), "", "f"], "")
    case 7: hello.terms = ["simulated": one(of: [0, 1, 2, 3, UInt64.max], 0)]
    default:
      let runs = (0..<one(of: [WireLimits.knownRuns, WireLimits.knownRuns + 1], 1)).map { "run \($0)" }
      hello.terms = Dictionary(uniqueKeysWithValues: runs.map { ($0, .max) })
    }
    return hello
  }
}

extension Simulation {
  func alter(_ hello: Hello, from place: Int) -> Message? {
    guard isFaulty, random.chance(workers[place].plan.altersHello) else { return nil }
    outcome.count(.helloAltered)
    liars.insert(workers[place].identity)
    return .hello(hello.altered(using: &random))
  }

  /// Says HELLO where nobody wants to hear it.
  func repeatHello(before message: Message, from place: Int) {
    let plan = workers[place].plan
    guard plan.repeatsHello > 0, isFaulty, random.chance(plan.repeatsHello) else { return }
    if case .hello = message { return }
    outcome.count(.helloRepeated)
    let hello = Message.hello(workers[place].core.settings.hello)
    _ = send(alter(hello, from: place) ?? hello, unless: hello, from: place)
  }

  /// Many HELLOs over the connection of a worker, and one or two over each of many more, which then say nothing.
  func floodHellos(of place: Int) {
    let hello = Message.hello(workers[place].core.settings.hello)
    for _ in 0..<100 where workers[place].route != nil { _ = send(hello, unless: hello, from: place) }
    guard let coordinator, let key = workers[place].plan.key, allowedKeys.contains(key) else { return }
    for _ in 0..<Int.random(in: 10...80, using: &random) {
      let route = makeRoute(to: place, socket: -1, coordinator)
      var end = LinkEnd.worker(scenario.transport)
      for _ in 0..<Int.random(in: 1...2, using: &random) {
        let said = alter(hello, from: place) ?? hello
        _ = try? end.send(said, of: .none, session: .none, now: seconds) { transmit($0, over: route.id, .up) }
      }
      events.add(.floodEnds(route: route.id), at: now + Double.random(in: 1...10, using: &random))
    }
  }
}

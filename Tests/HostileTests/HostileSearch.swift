import Harness
import NestedLearning
import WireProtocol

@testable import Coordination

/// Goes through a run, and at each message that comes sends other ones in its place, each in a copy of the cluster that
/// then goes on.
struct HostileSearch {
  /// Copies for each message that comes: more for those that say much, and come seldom.
  private static func copies(for message: Message) -> Int {
    switch message {
    case .result(let result) where result.tokens == 0: 150
    case .result, .assign: 12
    case .window: 50
    case .transfer(let transfer): if case .offer = transfer.content { 6 } else { 1 }
    case .ping, .pong, .leaseRenew, .parameters, .resultAck: 1
    default: 4
    }
  }

  private var random: SplitMix64
  private(set) var counts = HostileCluster.Counts()
  private(set) var problems: [String] = []
  private(set) var runs = 0
  /// By type of the message in whose place another was sent, as the states that were visited.
  private(set) var places: [String: Int] = [:]
  /// Messages of earlier states and runs, to and from the coordinator.
  private var pools: [Bool: [RawMessage]] = [:]

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  /// Runs until so many messages have been sent, or something is wrong.
  mutating func run(messages: Int) {
    while counts.sent < messages, problems.isEmpty { runOnce(messages) }
  }

  private mutating func runOnce(_ messages: Int) {
    let seed = random.next()
    var cluster = HostileCluster(seed: seed)
    runs += 1
    while counts.sent < messages, problems.isEmpty, let item = cluster.next() {
      if case .packet(let packet) = item { attack(cluster, packet, seed) }
      cluster.take(item)
      if let problem = Self.problem(of: cluster) { problems.append("seed \(seed), honest: \(problem)") }
    }
    if problems.isEmpty, counts.sent < messages, cluster.ending != "closed" {
      problems.append("seed \(seed): the honest run ended as \(cluster.ending ?? "nothing")")
    }
  }

  private mutating func attack(_ cluster: HostileCluster, _ packet: HostileCluster.Packet, _ seed: UInt64) {
    guard let (envelope, message) = try? MessageDecoder.decode(frames: packet.frames) else { return }
    let original = RawMessage(envelope, message)
    remember(original, packet.toCoordinator)
    let pool = pools[packet.toCoordinator] ?? []
    places[Self.name(of: message), default: 0] += 1
    for _ in 0..<Self.copies(for: message) where problems.isEmpty {
      var mutation = Mutation(random: SplitMix64(seed: random.next()))
      var raw = original
      if mutation.random.next(below: 3) == 0 {
        // Something that is said at another time, in the present session.
        raw = pool[mutation.random.next(below: pool.count)]
        let type = raw.envelope.type
        raw.envelope = envelope
        raw.envelope.type = type
      }
      for _ in 0...(mutation.random.next(below: 8) == 0 ? 1 : 0) { mutation.change(&raw, others: pool) }
      follow(
        cluster,
        HostileCluster.Packet(
          toCoordinator: packet.toCoordinator, connection: packet.connection, frames: raw.frames),
        message.type == .result || message.type == .resultOffer ? 8 : 50,
        "seed \(seed), at \(cluster.now), \(message.type.name) as \(raw.envelope.type.name) \(text(raw))")
    }
  }

  private static func name(of message: Message) -> String {
    switch message {
    case .assign(let assign): "ASSIGN \(assign.purpose.rawValue)"
    case .result(let result) where !result.chains.isEmpty && result.tokens == 0: "RESULT collect"
    default: message.type.name
    }
  }

  private func text(_ raw: RawMessage) -> String {
    let objects = raw.objects.map { "\($0.name): \($0.byteCount)" }.joined(separator: ", ")
    return String(String(decoding: raw.fields.bytes(), as: UTF8.self).prefix(1500)) + " [\(objects)]"
  }

  private mutating func remember(_ message: RawMessage, _ toCoordinator: Bool) {
    var pool = pools[toCoordinator] ?? []
    if pool.count < 512 { pool.append(message) } else { pool[random.next(below: 512)] = message }
    pools[toCoordinator] = pool
  }

  /// One in so many goes on to its end, which has to come; the others a little way.
  private mutating func follow(
    _ cluster: HostileCluster, _ packet: HostileCluster.Packet, _ share: Int, _ what: String
  ) {
    var copy = cluster
    let before = copy.counts
    copy.take(.packet(packet), isHostile: true)
    let toEnd = random.next(below: share) == 0
    let limit = toEnd ? 20_000 : random.next(below: 12) == 0 ? 40 : 3
    var turns = 0
    var problem = Self.problem(of: copy)
    while problem == nil, turns < limit, let item = copy.next() {
      copy.take(item)
      turns += 1
      problem = Self.problem(of: copy)
      if copy.now.seconds(since: cluster.now) > 3600 { problem = "it does not end" }
    }
    if problem == nil, toEnd, turns < limit, copy.ending == nil {
      problem = "nothing more happens, and it has not ended"
    }
    if let problem { problems.append("\(what): \(problem)") }
    var counts = copy.counts
    counts.sent -= before.sent
    counts.refusedByCodec -= before.refusedByCodec
    counts.refusedByLink -= before.refusedByLink
    counts.reachedCore -= before.reachedCore
    self.counts += counts
  }

  private static func problem(of cluster: HostileCluster) -> String? {
    if cluster.turnsAtOnce > 2000 { return "something turns round and round" }
    return cluster.problems.first
  }
}

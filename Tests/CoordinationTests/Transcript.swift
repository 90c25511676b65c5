import Coordination
import WireProtocol

/// A scene as text: comments, commands, and below each command what the core said to it, an effect a line.
///
///     # What the scene is about.
///     > scene verify=1                     other settings than the usual; first, if at all
///     > begin a b                          workers that have joined and loaded at time 0, parameters at version 0
///     > 3 open step=1 leaves=4 tiers=0,1   at 3 s: this is to be computed; `purpose=evaluate` is not training
///     > 4 result a digest=x loss=2         the result of the last assignment of a, the right one but for what is given
///
/// Further commands, all with a time: `hello PEER local=N`, `ready PEER`, `heard PEER`, `accepted PEER`, `declined PEER
/// REASON`, `renewed PEER progress=N`, `cancelled PEER`, `error PEER REASON`, `lost PEER REASON`, `goodbye PEER`,
/// `versions N N …`, `committed` (the last unit), `timer`, `drain`.
enum Transcript {
  struct Mistake: Error, Equatable, CustomStringConvertible { let description: String }

  /// - Returns: the same comments and commands with what is said now.
  static func run(_ text: String) throws -> String {
    var scene = Scene()
    var unit: WorkUnit?
    var lines: [String] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.hasPrefix("#") {
        lines.append(String(line))
      } else if line.hasPrefix("> ") {
        do {
          let said = try perform(Command(line.dropFirst(2)), &scene, &unit)
          if !lines.isEmpty { lines.append("") }
          lines.append(String(line))
          if !said.isEmpty { lines.append(said) }
        } catch let error as Mistake {
          throw Mistake(description: "line \(index + 1): \(error)")
        }
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func perform(_ command: Command, _ scene: inout Scene, _ unit: inout WorkUnit?) throws
    -> String
  {
    switch command.name {
    case "scene":
      scene = try made(command)
      return ""
    case "begin":
      scene.begin(command.words)
      return ""
    case "hello":
      return scene.hello(try command.time(), try command.peer(), local: try command.number("local"))
    case "result":
      return scene.result(
        try command.time(), try command.peer(), loss: try command.number("loss").map(Double.init),
        digest: command.values["digest"] ?? "d", progress: try command.number("progress") ?? 0,
        term: UInt64(try command.number("term") ?? 4))
    case "open":
      let opened = WorkUnit(
        purpose: command.values["purpose"] == "evaluate" ? .evaluate : .train,
        step: try command.number("step") ?? 1, leafCount: try command.number("leaves") ?? 1,
        dueTiers: try (command.values["tiers"] ?? "0,1").split(separator: ",").map(number))
      unit = opened
      return scene.at(try command.time(), .open(opened))
    case "committed":
      guard let unit else { throw Mistake(description: "no unit was opened") }
      return scene.at(try command.time(), .committed(unit))
    case "versions": return scene.at(try command.time(), Scene.versions(try command.words.map(number)))
    case "timer": return scene.at(try command.time(), .timer)
    case "drain": return scene.at(try command.time(), .drain)
    default: return scene.at(try command.time(), try event(command, scene))
    }
  }

  /// What a worker says, or is found to do.
  private static func event(_ command: Command, _ scene: Scene) throws -> SceneEvent {
    guard Command.ofWorkers.contains(command.name) else {
      throw Mistake(description: "there is no command \(command.name)")
    }
    let name = try command.peer()
    let (peer, session) = (PeerID(name), scene.session(name))
    let attempt = try command.number("attempt") ?? scene.assignments[name]?.attempt ?? 0
    let reason = command.words.dropFirst().joined(separator: " ")
    return switch command.name {
    case "ready": .ready(peer: peer, session: session, Ready(modelSHA256: Scene.model))
    case "accepted": .accepted(peer: peer, session: session, attempt: attempt)
    case "declined": .declined(peer: peer, session: session, attempt: attempt, reason: reason)
    case "renewed":
      .renewed(
        peer: peer, session: session, attempt: attempt, progress: try command.number("progress") ?? 0)
    case "cancelled": .cancelled(peer: peer, session: session, attempt: attempt)
    case "error": .workerError(peer: peer, session: session, attempt: attempt, reason: reason)
    case "lost": .peerLost(peer: peer, reason: reason)
    case "goodbye": .goodbye(peer: peer, session: session)
    default: .heard(peer: peer, session: session)
    }
  }

  private static func made(_ command: Command) throws -> Scene {
    for key in command.values.keys where key != "verify" {
      throw Mistake(description: "there is no setting \(key)")
    }
    let verify = try command.number("verify") ?? 0
    return Scene { $0.verifyFraction = Double(verify) }
  }

  private static func number(_ text: some StringProtocol) throws -> Int {
    guard let number = Int(text) else { throw Mistake(description: "\(text) is no number") }
    return number
  }

  /// `[TIME] NAME WORD … KEY=VALUE …`
  private struct Command {
    static let ofWorkers: Set = [
      "ready", "heard", "accepted", "declined", "renewed", "cancelled", "error", "lost", "goodbye",
    ]
    let name: String
    var words: [String] = []
    var values: [String: String] = [:]
    private let timeText: String?

    init(_ line: Substring) {
      var parts = line.split(separator: " ").map(String.init)
      let isTimed = parts.count > 1 && !["scene", "begin"].contains(parts[0])
      timeText = isTimed ? parts.removeFirst() : nil
      name = parts.isEmpty ? "" : parts.removeFirst()
      for part in parts {
        let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
        if pair.count == 2 { values[pair[0]] = pair[1] } else { words.append(part) }
      }
    }

    /// In seconds.
    func time() throws -> Double {
      guard let timeText, let time = Double(timeText) else {
        throw Mistake(description: "\(timeText ?? name) is no time")
      }
      return time
    }

    func peer() throws -> String {
      guard let peer = words.first else { throw Mistake(description: "a peer is missing") }
      return peer
    }

    func number(_ key: String) throws -> Int? { try values[key].map(Transcript.number) }
  }
}

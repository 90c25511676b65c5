import Foundation
import Harness
import Testing

/// Whoever has a valid key can say anything at any time, with lengths, checksums, digests, session and sequence as they
/// must be. Whatever it is: neither core traps, every run ends, and nothing that was not asked for is used. (A false
/// gradient or loss that is finite is for comparing results to find.)
@Suite struct HostileTests {
  private static func environment(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap(UInt64.init)
  }

  /// 20,000 messages, or as many as NL_HOSTILE_MESSAGES says, from the seed NL_HOSTILE_SEED; the same in every run unless
  /// told otherwise, so that a change is judged by itself. `NL_HOSTILE_MESSAGES=1000000` looks for what nobody knows yet.
  @Test func anythingAtAnyTime() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let messages = Int(clamping: Self.environment("NL_HOSTILE_MESSAGES") ?? 20_000)
      try Self.search(messages, Self.environment("NL_HOSTILE_SEED") ?? 796_753_045_949)
    }
    printOutput(ended?.standardOutputContent)
  }

  private static func search(_ messages: Int, _ seed: UInt64) throws {
    print("hostile messages: seed \(seed)")
    var search = HostileSearch(seed: seed)
    var memory: [Int] = []
    for part in 1...4 {
      search.run(messages: messages * part / 4)
      memory.append(try OwnMemory.residentBytes() / 1_000_000)
    }
    let counts = search.counts
    let share = Double(counts.reachedCore) / Double(max(1, counts.sent))
    print(
      "hostile messages: \(counts.sent) in \(search.runs) runs, \(counts.refusedByCodec) refused by the codec, "
        + "\(counts.refusedByLink) by the links, \(counts.reachedCore) (\(Int(share * 100)) %) reached a core; "
        + "memory after each quarter: \(memory) MB; in place of \(search.places.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })"
    )
    #expect(search.problems.isEmpty, "\(search.problems)")
    #expect(share >= 0.3, "\(share)")
    // A search that does not come to every state shows less than it says; some are rare.
    var states = [
      "HELLO", "WELCOME", "ENTER_RUN", "MODEL_CREDIT", "PROBE", "READY", "ASSIGN train", "RESULT",
      "LEASE_RENEW",
    ]
    if messages >= 200_000 {
      states += ["evaluate", "recompute", "collect"].map { "ASSIGN \($0)" }
      states += [
        "RESULT collect", "WINDOW", "CANCEL", "CANCELLED", "RESULT_OFFER", "RESULT_CHUNK", "LEAVE_RUN",
        "DRAIN", "DRAINED",
      ]
    }
    let unseen = states.filter { search.places[$0] == nil }
    #expect(unseen.isEmpty, "\(unseen)")
    #expect(memory[3] - memory[0] < 16, "\(memory) MB")
  }
}

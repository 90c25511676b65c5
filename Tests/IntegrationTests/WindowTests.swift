import Foundation
import Harness
import JSON
import Testing

/// Windows that workers keep. The reference of each test is a run by one worker that nothing happens to.
@Suite(.serialized) struct WindowTests {
  /// Flushes, cuts and owners change no bit of the adapter or of the state, which has the windows' chains.
  @Test(arguments: ["mean", "sum"], ["shallow_fast", "deep_fast"])
  func flushesAndOwnersDoNotChangeABit(window: String, order: String) throws {
    var changes: [String: JSONValue] = [
      "inactive_gradients": .string(window), "tier_order": .string(order), "num_steps": 37,
      "tier_update_frequencies": [1, 4, 16], "flush_every": 1000,
    ]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let (adapter, state) = try (reference.adapterHash(), reference.stateDigest())
    for (flush, flags) in [
      (1, ["--local-workers", "2"]), (2, ["--local-workers", "3"]), (3, ["--local-workers", "5"]),
      (8, ["--local-workers", "2", "--shard-by", "tier"]), (1000, ["--local-workers", "2"]),
    ] {
      changes["flush_every"] = .number(flush)
      let run = try TrainingRun(changes)
      try run.train(["--threads-per-worker", "1"] + flags)
      #expect(try run.adapterHash() == adapter, "flushed every \(flush) steps, \(flags)")
      #expect(try run.stateDigest() == state, "flushed every \(flush) steps, \(flags)")
    }
  }

  /// What a killed worker kept is computed again.
  @Test(arguments: [8, 1000]) func aLostWindowIsComputedAgain(flush: Int) throws {
    let changes: [String: JSONValue] = [
      "inactive_gradients": "mean", "num_steps": 400, "eval_every": 400, "flush_every": .number(flush),
      "tier_update_frequencies": [1, 7, 50],
    ]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    let coordinator = try run.start(["--local-workers", "3", "--threads-per-worker", "1"])
    let metrics = run.file("metrics/train_metrics.jsonl")
    for steps in [33, 95, 160] {
      #expect(waitUntil(seconds: 60) { ((try? rows(metrics).count) ?? 0) >= steps })
      try killOneChild(of: coordinator.process.processIdentifier)
    }
    #expect(try coordinator.wait().status == 0, "\(coordinator.output)\(coordinator.errors)")
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    let again = try sqlite(
      run.file("state.sqlite"), "SELECT count(*) FROM assignments WHERE purpose = 'recompute'")
    print("flushed every \(flush) steps, 3 workers killed: \(again) gradients computed again")
    #expect(Int(again) ?? 0 > 0)
  }

  /// The share of gradients that comes up, in percent of sending every tier's sum at every step, with tiers of equal
  /// weight. Without windows it is the mean of 1/f.
  @Test(arguments: [[1, 2, 4], [1, 16, 256]]) func onlyWhatIsDueComesUp(frequencies: [Int]) throws {
    for window in ["discard", "mean"] {
      let run = try TrainingRun([
        "inactive_gradients": .string(window), "tier_update_frequencies": .numbers(frequencies),
        "num_steps": 256, "eval_every": 256, "gradient_accumulation_steps": 1,
      ])
      try run.train(["--threads-per-worker", "1"])
      let traffic = try run.metrics().compactMap { $0["traffic"] }
      func share(_ key: String) -> Double {
        let lists = traffic.map { ($0[key]?.array ?? []).compactMap(\.double) }
        let sizes = (traffic.first?["parameters_down"]?.array ?? []).compactMap(\.double)
        let shares = sizes.indices.map { k in lists.reduce(0) { $0 + $1[k] } / sizes[k] / 256 }
        return 100 * shares.reduce(0, +) / Double(sizes.count)
      }
      let (boundary, flush, other) = (share("boundary_up"), share("flush_up"), share("other_up"))
      print(
        String(
          format: "bytes up, \(frequencies), \(window): boundaries %.1f %%, flushes %.1f %%, other %.1f %%",
          boundary, flush, other))
      let due = 100 * frequencies.reduce(0) { $0 + 1 / Double($1) } / Double(frequencies.count)
      #expect(abs(boundary - due) < 0.01)
      #expect(other == 0)
      #expect(window == "discard" ? flush == 0 : flush <= 100 * 2 / 3 / 8)
    }
  }
}

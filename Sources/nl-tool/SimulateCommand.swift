import ArgumentParser
import Foundation
import Simulation

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Run training clusters in memory while everything about them breaks.",
    discussion: """
      Each seed is a cluster of its own: the real coordinator, workers and codec on a simulated network, disk and \
      clock, with faults for a while. Then the faults stop, and the run must end with the very bits of a computation \
      without any cluster. The same seed always goes the same way.

      Examples:
        nl-tool simulate --seeds 1..1000 --threads 2
        nl-tool simulate --seeds 1..1000 --files
        nl-tool simulate --trace 4711
        nl-tool simulate --soak 100000
      """)

  @Option(help: "The seeds to run, as A..B.")
  var seeds = "1..1000"

  @Option(help: "Threads to run them on.")
  var threads = ProcessInfo.processInfo.activeProcessorCount

  @Option(help: "Run this one seed, and print everything that happens.")
  var trace: UInt64?

  @Option(help: "Run one cluster for so many steps, and fail if its memory grows by more than a megabyte.")
  var soak: Int?

  @Flag(help: "Give every run real files on a volume that breaks, and not only one of ten.")
  var files = false

  @Flag(help: "Print the sum of all runs as JSON.")
  var json = false

  func validate() throws {
    guard range != nil else { throw ValidationError("--seeds \(seeds) is not of the form A..B, with A ≤ B") }
    guard (1...1024).contains(threads) else { throw ValidationError("--threads must be from 1 to 1024") }
    if let soak, soak < 20 { throw ValidationError("--soak must be at least 20") }
  }

  private var range: ClosedRange<UInt64>? {
    let parts = seeds.components(separatedBy: "..")
    guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]), first <= last else {
      return nil
    }
    return first...last
  }

  func run() throws {
    if let trace {
      let outcome = SeedRange.run(seed: trace, withFiles: files) { print($0) }
      print(outcome.text)
      if !outcome.succeeded { throw ExitCode.failure }
      return
    }
    if let soak {
      let report = try Soak(steps: soak)
      print((report.outcome.problems + [report.text]).joined(separator: "\n"))
      if !report.outcome.succeeded || report.growth >= 1 << 20 { throw ExitCode.failure }
      return
    }
    guard let range else { return }
    let clock = ContinuousClock()
    let started = clock.now
    let summary = SeedRange(range, threads: threads, withFiles: files).run { outcome in
      FileHandle.standardError.write(
        Data("seed \(outcome.seed): \(outcome.problems.first ?? "not finished")\n".utf8))
    }
    let seconds = (clock.now - started) / .seconds(1)
    print(json ? summary.json(seconds: seconds).text : "seeds \(seeds): " + summary.text(seconds: seconds))
    if !summary.failures.isEmpty { throw ExitCode.failure }
  }
}

import Testing

@testable import Service

/// The reference is the line of the issue: `Step 100/1000 | Loss: 1.234 | Active tiers: [0, 1] | ETA: 5.2m`.
@Suite struct ProgressLineTests {
  @Test(
    arguments: [
      (0, "0.0s"), (0.04, "0.0s"), (12.34, "12.3s"), (59.94, "59.9s"), (59.96, "1.0m"), (312, "5.2m"),
      (3596, "59.9m"),
      (3599, "1.0h"), (5400, "1.5h"), (86_200, "23.9h"), (86_399, "1.0d"), (181_440, "2.1d"),
      (8.64e7, "1000.0d"),
      (.infinity, "?"), (.nan, "?"), (-1, "?"), (1e300, "?"),
    ] as [(Double, String)]) func duration(seconds: Double, text: String)
  {
    #expect(ProgressLine.duration(seconds) == text)
  }

  @Test(
    arguments: [
      (1.2344, 3, "1.234"), (0.0006, 3, "0.001"), (-0.5, 1, "-0.5"), (12, 3, "12.000"), (-0.0001, 3, "0.000"),
      (.nan, 3, "nan"), (1e300, 3, "1e+300"),
    ] as [(Double, Int, String)]) func decimal(value: Double, places: Int, text: String)
  {
    #expect(ProgressLine.decimal(value, places: places) == text)
  }

  /// 0.35 s a step, 900 steps to go: 315 s.
  @Test func plainLine() {
    var progress = ProgressLine(totalSteps: 1000, columns: nil, now: 5)
    var last = ""
    for step in 1...100 {
      let text = progress.step(step, loss: 1.2341, activeTiers: [0, 1], now: 5 + 0.35 * Double(step))
      if !text.isEmpty { last = text }
    }
    #expect(last == "Step 100/1000 | Loss: 1.234 | Active tiers: [0, 1] | ETA: 5.3m\n")
  }

  /// Fast steps: the first, every hundredth part, the last. Slow steps: at least one line in 10 s.
  @Test(arguments: [(0.01, [1, 3, 6, 9, 12, 300]), (5.0, [1, 3, 5, 6, 8, 9, 11, 12, 300])])
  func linesAreFew(seconds: Double, shown: [Int]) {
    var progress = ProgressLine(totalSteps: 300, columns: nil, now: 0)
    var steps: [Int] = []
    for step in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 300] {
      if !progress.step(step, loss: 1, activeTiers: [], now: seconds * Double(step)).isEmpty {
        steps.append(step)
      }
    }
    #expect(steps == shown)
  }

  /// Steps of a tier's period differ: 1 s, but 9 s every fourth. The mean is 3 s.
  @Test func timeToGoIsAMeanOverThePeriods() {
    var progress = ProgressLine(totalSteps: 200, columns: nil, now: 0)
    var now = 0.0
    var text = ""
    for step in 1...100 {
      now += step % 4 == 0 ? 9 : 1
      text = progress.step(step, loss: 1, activeTiers: [], now: now)
    }
    #expect(text.hasSuffix("ETA: 5.0m\n"))
  }

  /// After a resume only what this process has seen counts.
  @Test func timeToGoAfterAResume() {
    var progress = ProgressLine(totalSteps: 1000, columns: nil, now: 100)
    #expect(progress.step(991, loss: 1, activeTiers: [], now: 102).hasSuffix("ETA: 18.0s\n"))
  }

  /// A minute of waiting for workers before the first hand-out is no part of a step; later hand-outs begin nothing.
  @Test func waitingForWorkersIsNoStep() {
    var progress = ProgressLine(totalSteps: 10, columns: nil, now: 0)
    progress.begin(now: 60)
    #expect(progress.step(1, loss: 1, activeTiers: [], now: 62).hasSuffix("ETA: 18.0s\n"))
    progress.begin(now: 100)
    #expect(progress.step(2, loss: 1, activeTiers: [], now: 64).isEmpty == false)
    #expect(progress.step(10, loss: 1, activeTiers: [], now: 80).hasSuffix("ETA: 0.0s\n"))
  }

  @Test func terminalHasABarBelowTheLines() {
    var progress = ProgressLine(totalSteps: 4, columns: 200, now: 0)
    let line = "Step 1/4 | Loss: 2.000 | Active tiers: [0] | ETA: 3.0s"
    #expect(
      progress.step(1, loss: 2, activeTiers: [0], now: 1)
        == "\r\u{1B}[K\(line)\n[#####---------------]  25% | \(line)")
    #expect(progress.message("worker 2 joined").hasPrefix("\r\u{1B}[Kworker 2 joined\n[#####-"))
    #expect(progress.finish() == "\r\u{1B}[K")
    #expect(progress.message("done") == "done\n")
  }

  @Test func theBarFitsIntoOneLineAndIsRedrawnTenTimesASecond() {
    var progress = ProgressLine(totalSteps: 10_000, columns: 30, now: 0)
    var redrawn = 0
    for step in 1...99 {
      let text = progress.step(step, loss: 2, activeTiers: [0, 1, 2], now: 0.01 * Double(step))
      if text.isEmpty { continue }
      redrawn += 1
      let bar = text.split(separator: "\n").last?.split(separator: "K").last ?? ""
      #expect(bar.count <= 29)
    }
    #expect((9...11).contains(redrawn))
  }

  @Test func aRunThatEndsEarlyShowsItsLastStep() {
    var progress = ProgressLine(totalSteps: 1000, columns: nil, now: 0)
    _ = progress.step(1, loss: 1, activeTiers: [], now: 1)
    #expect(progress.step(2, loss: 1, activeTiers: [], now: 2) == "")
    #expect(progress.finish().hasPrefix("Step 2/1000 |"))
    #expect(progress.finish() == "")
  }
}

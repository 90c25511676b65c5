import Foundation
import Testing

@testable import Service

/// Who asks a program to end that is done gets the exit code of success; who asks again, an end at once.
@Suite struct SignalWatchTests {
  @Test func aProgramThatIsDoneEndsAtTheSecondRequest() async {
    await #expect(processExitsWith: .exitCode(0)) {
      SignalWatch.endAtSecond()(SIGINT)
      exit(0)
    }
    await #expect(processExitsWith: .exitCode(130)) {
      let end = SignalWatch.endAtSecond()
      end(SIGINT)
      end(SIGINT)
      exit(0)
    }
  }
}

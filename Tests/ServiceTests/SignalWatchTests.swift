import Foundation
import Testing

@testable import Service

/// Who asks a program to end that is done gets the exit code of success; who asks again, an end at once.
@Suite struct SignalWatchTests {
  @Test func aProgramThatIsDoneEndsAtTheSecondRequest() async {
    await #expect(processExitsWith: .exitCode(0)) { Self.end(requests: 1) }
    // On a busy machine several may be taken for one: it is asked until it ends.
    await #expect(processExitsWith: .exitCode(130)) { Self.end(requests: 60) }
  }

  /// Ends this process with success, unless a request does first.
  private static func end(requests: Int) {
    let watch = SignalWatch()
    withExtendedLifetime(watch) {
      watch.endAtSecond()
      for _ in 0..<requests {
        kill(getpid(), SIGINT)
        // What follows within half a second is the same request.
        usleep(800_000)
      }
    }
    exit(0)
  }
}

import Foundation
import Logging
import Testing

@testable import Service

/// Who asks a program to end that is done gets the exit code of success; who asks again, an end at once.
@Suite struct SignalWatchTests {
  @Test func aProgramThatIsDoneEndsAtTheSecondRequest() async {
    await #expect(processExitsWith: .exitCode(0)) { Self.end(requests: 1) }
    // On a busy machine several may be taken for one: it is asked until it ends.
    await #expect(processExitsWith: .exitCode(130)) { Self.end(requests: 60) }
  }

  /// Nobody is left to guess why a program that had said something of its work is gone.
  @Test func anEndAtOnceIsSaid() async throws {
    let ended = await #expect(
      processExitsWith: .exitCode(128 + SIGTERM), observing: [\.standardErrorContent]
    ) {
      let watch = SignalWatch(logger: Self.logger())
      withExtendedLifetime(watch) {
        kill(getpid(), SIGTERM)
        sleep(60)
      }
    }
    let errors = String(decoding: try #require(ended).standardErrorContent, as: UTF8.self)
    #expect(errors.contains("stopped at once by SIGTERM; what was written is whole"), "\(errors)")
  }

  private static func logger() -> Logger {
    Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
  }

  /// Ends this process with success, unless a request does first.
  private static func end(requests: Int) {
    let watch = SignalWatch(logger: logger())
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

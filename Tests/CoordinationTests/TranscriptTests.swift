import Foundation
import Harness
import Testing

/// What the coordinator's core says to each event, held to the files in `Transcripts`: a change of its rules shows as a
/// difference in what it does, event by event. With `NL_REWRITE_TRANSCRIPTS=1` the files are written anew; whether
/// they are right is for whoever reads the difference.
@Suite struct TranscriptTests {
  private static let folder = Fixtures.tests.appendingPathComponent("CoordinationTests/Transcripts")
  private static let rewrites = ProcessInfo.processInfo.environment["NL_REWRITE_TRANSCRIPTS"] == "1"

  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".txt") }.sorted()
  }

  @Test func theScenesAreThere() throws { #expect(try Self.names().count >= 12) }

  @Test(arguments: try names()) func scene(name: String) throws {
    let file = Self.folder.appendingPathComponent(name)
    let told = try String(contentsOf: file, encoding: .utf8)
    let run = try Transcript.run(told)
    if Self.rewrites {
      try run.write(to: file, atomically: true, encoding: .utf8)
      return
    }
    let (lines, expected) = (run.split(separator: "\n"), told.split(separator: "\n"))
    let same = zip(lines, expected).prefix { $0 == $1 }.count
    #expect(
      run == told,
      """
      \(name) differs from its line \(same + 1) on: \(same < lines.count ? lines[same] : "the end"). If that is meant, \
      NL_REWRITE_TRANSCRIPTS=1 writes it anew
      """)
  }

  /// What no command says is an error with its line, not a scene that is left out.
  @Test(arguments: [
    ("> 0 jump a", "line 1: there is no command jump"), ("# one\n> zero timer", "line 2: zero is no time"),
    ("> 1 open step=one", "line 1: one is no number"), ("> 1 result", "line 1: a peer is missing"),
    ("> scene color=1", "line 1: there is no setting color"),
  ])
  func badCommands(text: String, error: String) {
    #expect(throws: Transcript.Mistake(description: error)) { try Transcript.run(text) }
  }

  /// Running a scene again gives the same text: what is said before is not read.
  @Test func whatWasSaidIsReplaced() throws {
    let once = try Transcript.run("# A worker.\n\n> 0 hello a\nnonsense\n")
    #expect(once == "# A worker.\n\n> 0 hello a\nwelcome a\na enters as worker 1\ntimer 6.000s\n")
    #expect(try Transcript.run(once) == once)
  }
}

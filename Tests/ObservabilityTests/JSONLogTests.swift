import Foundation
import JSON
import Logging
import Testing

@testable import Observability

@Suite struct JSONLogTests {
  func line(_ message: Logger.Message, _ metadata: Logger.Metadata, context: LogContext = LogContext())
    -> JSONValue
  {
    let handler = JSONLogHandler(label: "nl-coord", context: context)
    let event = LogEvent(
      level: .notice, message: message, metadata: metadata, source: "Service", file: "", function: "", line: 0
    )
    return handler.line(event, at: Date(timeIntervalSince1970: 1_700_000_000.25))
  }

  /// Time, level, label, message, then where the program stands, then what the line bears; numbers are numbers.
  @Test func oneObjectALine() {
    let context = LogContext()
    context.set("run", "demo")
    context.set("step", 7)
    let text = line(
      "hand-out \"lost\"\n", ["attempt": "12", "shard": "0-3", "tiers": ["0", "2"]], context: context
    ).text
    #expect(
      text.replacing(" ", with: "")
        == """
        {"time":"2023-11-14T22:13:20.250Z","level":"notice","label":"nl-coord","message":"hand-out\\"lost\\"\\n",\
        "run":"demo","step":7,"attempt":12,"shard":"0-3","tiers":[0,2]}
        """)
    #expect(!text.contains("\n"))
  }

  /// What the line itself says wins over where the program stands.
  @Test func theLineWins() {
    let context = LogContext()
    context.set("step", 7)
    #expect(line("", ["step": "6"], context: context)["step"]?.int == 6)
    context.set("step", nil)
    #expect(line("", [:], context: context)["step"] == nil)
  }
}

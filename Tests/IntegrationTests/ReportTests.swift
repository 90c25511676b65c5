import Foundation
import Harness
import JSON
import Testing

/// Reports of runs as HTML.
@Suite(.serialized) struct ReportTests {
  @Test func aReportIsOneFileWithWhatTheLedgerHas() throws {
    let run = try TrainingRun([
      "tier_update_frequencies": [1, 4, 16], "lora_target_modules": ["q_proj", "up_proj"],
    ])
    let said = try run.train(["--report", "--local-workers", "2"])
    #expect(said.output.contains("Report: \(run.file("report.html"))"))
    let html = try String(contentsOfFile: run.file("report.html"), encoding: .utf8)
    // Nothing is fetched from anywhere.
    for link in ["src=", "href=", "url(", "http:", "https:", "<script", "@import"] {
      #expect(!html.contains(link))
    }
    for section in ["Curves", "Tiers", "Who computed what", "Faults", "Checkpoints", "Config"] {
      #expect(html.contains("<h2>\(section)</h2>"))
    }
    #expect(html.contains("tier 2 does not move") && html.contains("prefers-color-scheme: dark"))
    for pid in try sqlite(run.file("state.sqlite"), "SELECT pid FROM workers").split(separator: "\n") {
      #expect(html.contains("<td class=\"n\">\(pid)</td>"))
    }
    // A point for each evaluation.
    #expect(html.components(separatedBy: "<circle").count - 1 == 2)
    // As XML, every element that begins ends.
    #expect(
      try Program(name: "/usr/bin/python3").run(["-c", Self.wellFormed, run.file("report.html")]).status == 0)
    let again = run.scratch.path("again.html")
    try Program.tool.run(["report", run.folder, "--output", again]).expectSuccess()
    #expect(try String(contentsOfFile: again, encoding: .utf8) == html)
  }

  /// Python's own parser of HTML, with a stack of open elements.
  private static let wellFormed = """
    import sys
    from html.parser import HTMLParser
    class Check(HTMLParser):
        open = []
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta",): self.open.append(tag)
        def handle_startendtag(self, tag, attrs): pass
        def handle_endtag(self, tag): assert self.open.pop() == tag, (tag, self.getpos())
    check = Check()
    check.feed(open(sys.argv[1]).read())
    assert not check.open
    """

  @Test func aFolderWithoutARunIsNamed() throws {
    let scratch = try Scratch()
    let result = try Program.tool.run(["report", scratch.path(".")])
    #expect(result.status != 0 && result.errors.contains("state.sqlite"))
  }
}

import Dataset
import Testing

@testable import Service

@Suite struct TokenizingLineTests {
  private func progress(bytes: Int, of total: Int, disk: Int? = nil) -> TokenizingProgress {
    TokenizingProgress(
      file: "/data/train.jsonl", bytes: bytes, totalBytes: total, rows: 1000, tokens: 5000, diskBytes: disk)
  }

  /// A quarter in 3 s: the other three in 9.
  @Test func howFarItIs() {
    #expect(
      TokenizingLine.text(progress(bytes: 25, of: 100), seconds: 3)
        == "Tokenizing train.jsonl: 25 % | 1000 rows, 333 rows/s | ETA: 9.0s")
    #expect(
      TokenizingLine.text(progress(bytes: 100, of: 100, disk: 2_000_000), seconds: 10)
        == "Tokenizing train.jsonl: 100 % | 1000 rows, 100 rows/s | ETA: 0.0s | 2.0 MB on the disk in the end"
    )
    // A pipe has no size.
    #expect(
      TokenizingLine.text(progress(bytes: 100, of: 0), seconds: 10)
        == "Tokenizing train.jsonl: 1000 rows, 100 rows/s")
  }

  /// What is read at once is not spoken of.
  @Test func shortWorkIsSilent() {
    var said = ""
    let line = TokenizingLine(columns: 80) { said += $0 }
    line.show(progress(bytes: 50, of: 100))
    line.show(progress(bytes: 100, of: 100))
    line.clear()
    #expect(said.isEmpty)
  }
}

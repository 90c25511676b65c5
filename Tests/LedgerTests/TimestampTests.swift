import Foundation
import Ledger
import Testing

/// The reference is `date -u -d @SECONDS +%FT%TZ` of GNU coreutils, and Foundation's calendar for random moments.
@Suite struct TimestampTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    (951_868_799_999, "2000-02-29T23:59:59.999Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    (1_700_000_000_123, "2023-11-14T22:13:20.123Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (253_402_300_799_000, "9999-12-31T23:59:59.000Z"),
  ]) func text(milliseconds: Int64, text: String) {
    #expect(Timestamp(milliseconds: milliseconds).text == text)
    #expect(Timestamp(text: text)?.milliseconds == milliseconds)
  }

  @Test func agreesWithFoundation() {
    let seed = UInt64.random(in: 0..<1 << 32)
    var state = seed
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: false)
    for _ in 0..<2000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let seconds = Int64(state >> 30)  // until the year 2514
      let text = Timestamp(milliseconds: seconds * 1000).text
      let expected = Date(timeIntervalSince1970: Double(seconds)).formatted(style)
      #expect(text.replacing(".000Z", with: "Z") == expected, "seed \(seed)")
    }
  }

  @Test(arguments: [
    "", "2023-11-14", "2023-13-14T22:13:20.123Z", "2023-02-29T22:13:20.123Z", "2023-11-14T24:13:20.123Z",
    "2023-11-14 22:13:20.123Z", "2023-11-14T22:13:20.12aZ", "2023-11-14T22:60:20.123Z",
  ]) func refusesOtherText(text: String) { #expect(Timestamp(text: text) == nil) }

  @Test func advances() {
    let time = Timestamp(milliseconds: 1000)
    #expect(time.advanced(bySeconds: 1.5).milliseconds == 2500)
    #expect(time.advanced(bySeconds: .nan) == time)
    #expect(time < time.advanced(bySeconds: 0.001))
  }
}

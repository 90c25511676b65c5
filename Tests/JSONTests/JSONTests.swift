import JSON
import Testing

/// The reference is RFC 8259.
@Suite struct JSONTests {
  /// RFC 8259, 7: quotes, backslashes and control characters are escaped, and nothing else has to be.
  @Test(arguments: [
    ("", #""""#), ("loss", #""loss""#), ("\"", #""\"""#), ("a\"b\\c\n\r\td", #""a\"b\\c\n\r\td""#),
    ("\u{0}\u{8}\u{1f}x\u{7f}", "\"\\u0000\\u0008\\u001fx\u{7f}\""), ("é/\u{1f600}\n", "\"é/\u{1f600}\\n\""),
  ])
  func textsAreEscaped(_ text: String, _ written: String) throws {
    #expect(JSONValue.string(text).text == written)
    #expect(try JSONValue(parsing: written).string == text)
  }

  @Test func readsEveryKindOfValue() throws {
    let value = try JSONValue(
      parsing: #" {"a": [1, -2.5e3, true, null], "b": {"c": "x\n\u00e9\ud83d\ude00"}} "#)
    #expect(value["a"] == [1, -2500, true, nil])
    #expect(value["b"]?["c"]?.string == "x\né😀")
    #expect(value["a"]?.array?[0].int == 1)
  }

  @Test func keepsOrderAndLines() throws {
    let value = try JSONValue(parsing: "{\"z\": 1,\n\n \"a\": 2}")
    #expect(value.object?.members.map(\.key) == ["z", "a"])
    #expect(value.object?.line(of: "a") == 3)
  }

  /// U+00E9 and U+0065 U+0301 are equal Swift strings, and two different keys.
  @Test func keysAreBytes() throws {
    let value = try JSONValue(parsing: "{\"\u{e9}\": 1, \"e\u{301}\": 2}")
    #expect(value["\u{e9}"]?.int == 1)
    #expect(value["e\u{301}"]?.int == 2)
  }

  /// Wherever it stands, and however many there are before it.
  @Test func refusesAKeyThatStandsTwice() throws {
    for count in [2, 24, 25, 26, 60] {
      let members = (0..<count).map { "\"key \($0)\": \($0)" }
      #expect(try JSONValue(parsing: "{\(members.joined(separator: ","))}").object?.members.count == count)
      for (again, place) in [(0, count), (count - 1, count), (count / 2, count / 2 + 1)] {
        let twice = members.prefix(place) + [members[again]] + members.dropFirst(place)
        #expect { try JSONValue(parsing: "{\(twice.joined(separator: ","))}") } throws: {
          "\($0)".contains("\"key \(again)\" stands twice")
        }
      }
    }
  }

  @Test(arguments: [
    ("", "line 1, column 1"), ("{\"a\": 1, \"a\": 2}", "stands twice"), ("[1,]", "column 4"),
    ("[1 2]", "',' or ']'"),
    ("{\"a\" 1}", "':'"), ("01", "must not begin with 0"), ("1.", "after '.'"), ("\"\\ud800\"", "surrogate"),
    ("\"a\nb\"", "control character"), ("[1]\n x", "line 2, column 2"), ("nul", "unexpected"),
    ("\"abc", "ends inside"),
  ]) func refuses(text: String, reason: String) {
    #expect { try JSONValue(parsing: text) } throws: { "\($0)".contains(reason) }
  }

  @Test func refusesBytesThatAreNotUTF8() {
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
  }

  @Test func refusesDepth() {
    #expect(throws: JSONError.self) { try JSONValue(parsing: String(repeating: "[", count: 100_000)) }
  }

  @Test func writesWhatItReads() throws {
    let text = #"{"a":[1, 2.5, "x\"\\\n"],"b":{"c":null,"d":true}}"#
    #expect(try JSONValue(parsing: text).text == text)
    let pretty = try JSONValue(parsing: text).bytes(indent: 2)
    #expect(try JSONValue(parsing: pretty) == JSONValue(parsing: text))
  }

  @Test(arguments: [0.1, 1e-5, 1.7976931348623157e308, 2.2250738585072014e-308, 3, -0.0, 123456789.125])
  func numbersReadBackToTheSameBits(value: Double) {
    #expect(JSONValue.number(value).double?.bitPattern == value.bitPattern)
  }
}

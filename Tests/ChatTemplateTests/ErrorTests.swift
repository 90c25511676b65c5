import Foundation
import JSON
import Testing

@testable import ChatTemplate

@Suite struct ErrorTests {
  private func message(_ source: String) -> String {
    do {
      _ = try rendered(source)
      return ""
    } catch { return "\(error)" }
  }

  /// What stands before the colon is the template's name and the line.
  @Test func errorsNameTheTemplateTheLineAndWhatIsWrong() {
    #expect(message("a\n{{ x.y }}") == "t:2: 'x' is undefined")
    #expect(message("{{ messages[0].a.b }}") == "t:1: 'dict object' has no attribute 'a'")
    #expect(
      message("\n\n{% if true %}\n{{ raise_exception('Roles must alternate') }}{% endif %}")
        == "t:4: Roles must alternate")
    #expect(message("{% for i in 5 %}{% endfor %}") == "t:1: 'int' object is not iterable")
    #expect(
      message("{{ messages.append(1) }}") == "t:1: access to attribute 'append' of 'list' object is unsafe.")
    #expect(message("\n{{ 1 | nope }}") == "t:2: there is no filter 'nope'")
    #expect(message("{{ 1 is nope }}") == "t:1: there is no test 'nope'")
    #expect(message("{{ 'a' + 1 }}") == "t:1: unsupported operand types for +: 'str' and 'int'")
    #expect(
      message("{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}")
        == "t:1: macro 'f' takes not more than 1 arguments")
  }

  @Test func syntaxErrorsNameTheLine() {
    #expect(
      message("\n{% if x %}\n") == "t:2: the template ends before {% elif %} or {% else %} or {% endif %}")
    #expect(message("{% endif %}") == "t:1: unknown tag 'endif'")
    #expect(message("{{ a b }}") == "t:1: expected '}}', not 'b'")
    #expect(message("\n\n{# x") == "t:3: a comment without its end")
    #expect(message("{% raw %}") == "t:1: a raw block without its end")
    #expect(message("{{ 'x }}") == "t:1: a string without its closing quote")
    #expect(message("{{ ) }}") == "t:1: unexpected ')'")
    #expect(message("{{ a ? b }}") == "t:1: unexpected character '?'")
    #expect(message("{% include 'x' %}") == "t:1: the tag 'include' is not supported in chat templates")
    #expect(message("{% break %}") == "t:1: 'break' outside a loop")
    #expect(message("{{ '\\ud83d' }}") == "t:1: the escape \\ud83d is no character")
  }

  @Test func conversationsThatAreNoneAreRefused() throws {
    let template = try ChatTemplate(source: "x", name: "t")
    func reason(_ messages: [JSONValue], tools: JSONValue? = nil) -> String? {
      do { _ = try template.render(messages: messages, tools: tools, date: Fixture.date) } catch {
        return error.reason
      }
      return nil
    }
    #expect(reason([]) == "a conversation without messages")
    #expect(reason(["x"]) == "message 1 is a string, not an object")
    #expect(reason([["role": "user"]], tools: "f") == "'tools' is a string, not a list of objects")
    #expect(reason([["role": "user"]], tools: ["f"]) == "'tools' has a string, not objects alone")
  }
}

@Suite struct DateTests {
  /// Python 3.11's datetime.strftime, on Linux.
  @Test(arguments: [
    (
      "2026-02-03T04:05:06",
      "Tue Tuesday Feb February Tue Feb  3 04:05:06 2026 03  3 04 04 034 02 05 AM 06 05 2 2 05 02/03/26 04:05:06 26 2026 2026 06 26 02/03/26 2026-02-03 04:05:06 04:05 04:05:06 AM Feb 20  4  4 3 2  3 FEB am %"
    ),
    (
      "2020-12-31T23:59:59",
      "Thu Thursday Dec December Thu Dec 31 23:59:59 2020 31 31 23 11 366 12 59 PM 59 52 4 4 52 12/31/20 23:59:59 20 2020 2020 53 20 12/31/20 2020-12-31 23:59:59 23:59 11:59:59 PM Dec 20 23 11 31 12 31 DEC pm %"
    ),
    (
      "2021-01-01T00:00:00",
      "Fri Friday Jan January Fri Jan  1 00:00:00 2021 01  1 00 12 001 01 00 AM 00 00 5 5 00 01/01/21 00:00:00 21 2021 2020 53 20 01/01/21 2021-01-01 00:00:00 00:00 12:00:00 AM Jan 20  0 12 1 1  1 JAN am %"
    ),
    (
      "2021-01-03T12:30:00",
      "Sun Sunday Jan January Sun Jan  3 12:30:00 2021 03  3 12 12 003 01 30 PM 00 01 7 0 00 01/03/21 12:30:00 21 2021 2020 53 20 01/03/21 2021-01-03 12:30:00 12:30 12:30:00 PM Jan 20 12 12 3 1  3 JAN pm %"
    ),
    (
      "2024-02-29T13:00:09",
      "Thu Thursday Feb February Thu Feb 29 13:00:09 2024 29 29 13 01 060 02 00 PM 09 08 4 4 09 02/29/24 13:00:09 24 2024 2024 09 24 02/29/24 2024-02-29 13:00:09 13:00 01:00:09 PM Feb 20 13  1 29 2 29 FEB pm %"
    ),
    (
      "2018-12-31T11:11:11",
      "Mon Monday Dec December Mon Dec 31 11:11:11 2018 31 31 11 11 365 12 11 AM 11 52 1 1 53 12/31/18 11:11:11 18 2018 2019 01 19 12/31/18 2018-12-31 11:11:11 11:11 11:11:11 AM Dec 20 11 11 31 12 31 DEC am %"
    ),
  ])
  func datesAreShownAsPythonShowsThem(_ text: String, _ expected: String) throws {
    let codes =
      "%a %A %b %B %c %d %e %H %I %j %m %M %p %S %U %u %w %W %x %X %y %Y %G %V %g %D %F %T %R %r %h %C %k %l %-d %-m %_d %^b %P %%"
    let template = try ChatTemplate(source: "{{ strftime_now('\(codes)') }}", name: "t")
    let date = try #require(TemplateDate(parsing: text))
    #expect(try template.render(messages: [["role": "user"]], date: date) == expected)
  }

  @Test func datesThatAreNoneAreRefused() {
    for text in [
      "", "2026", "2026-02-30", "2026-13-01", "2026-1-1", "2026-02-03T25:00:00", "2026-02-03x", "2026/02/03",
      "0000-01-01",
    ] {
      #expect(TemplateDate(parsing: text) == nil, "\(text)")
    }
    #expect(TemplateDate(parsing: "2026-02-03T04:05:06.789Z") == Fixture.date)
  }
}

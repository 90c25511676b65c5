import JSON
import Testing

@testable import ChatTemplate

/// Templates come from outside: none may hang, stop the program or take all memory. Each of these must end with an
/// error, and soon.
@Suite struct LimitTests {
  static let hostile: [(source: String, reason: String)] = [
    ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"),
    ("{% for i in range(100001) %}{% endfor %}", "100000 items"),
    ("{% for i in range(0, 9223372036854775807) %}{% endfor %}", "100000 items"),
    ("{% for i in range(-9223372036854775807, 9223372036854775807) %}{% endfor %}", "100000 items"),
    ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "levels"),
    ("{% macro f() %}{% for i in [1] %}{{ f() }}{% endfor %}{% endmacro %}{{ f() }}", "levels"),
    ("{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}", "levels"),
    ("{% for i in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "levels"),
    ("{{ 'a' * 10000000000 }}", "16 MiB"),
    // A little beyond each limit.
    ("{{ 'a' * 20000000 }}", "16 MiB"),
    (
      "{% set ns = namespace(x=[]) %}{% for i in range(250) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "inside each other"
    ),
    (
      "{{ " + String(repeating: "(", count: 110) + "1" + String(repeating: ")", count: 110) + " }}",
      "inside each other"
    ),
    ("{{ [1] * 10000000000 }}", "items"),
    ("{{ '%1000000000d' % 1 }}", "16 MiB"),
    ("{{ '%*d' % (1000000000, 1) }}", "16 MiB"),
    ("{{ '{:1000000000}'.format(1) }}", "16 MiB"),
    ("{{ 'a'.center(10000000000) }}", "16 MiB"),
    ("{{ 'a' | indent(10000000000) }}", "16 MiB"),
    (
      "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      "MiB"
    ),
    (
      "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x.replace('', ns.x) %}{% endfor %}",
      "MiB"
    ),
    (
      "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
      "parts"
    ),
    (
      "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "inside each other"
    ),
    (
      "{% set ns = namespace(x={}) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
      "inside each other"
    ),
    (
      "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = ns.x | map('int') %}{% endfor %}",
      "inside each other"
    ),
    (
      "{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% for j in range(3) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}{% endfor %}",
      "namespaces"
    ),
    ("{% set ns = namespace() %}{% set ns.x = [ns, ns] %}{{ ns }}", "shown"),
    (
      "{% for i in range(100000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' * 100 }}{% endfor %}",
      "16 MiB"
    ),
    ("{{ 2 ** 100000 }}", "64 bits"), ("{{ 9223372036854775807 + 1 }}", "64 bits"),
    ("{{ -9223372036854775807 - 2 }}", "64 bits"), ("{{ 9223372036854775807 * 3 }}", "64 bits"),
    ("{{ (-9223372036854775807 - 1) // -1 }}", "64 bits"), ("{{ -(-9223372036854775807 - 1) }}", "64 bits"),
    ("{{ (-9223372036854775807 - 1) | abs }}", "64 bits"), ("{{ 99999999999999999999 }}", "too large"),
    (String(repeating: "(", count: 100_000), "inside each other"),
    ("{{ " + String(repeating: "(", count: 100_000), "inside each other"),
    ("{{ " + String(repeating: "[", count: 100_000), "inside each other"),
    ("{{ " + String(repeating: "not ", count: 100_000) + "1 }}", "inside each other"),
    ("{{ " + String(repeating: "-", count: 100_000) + "1 }}", "inside each other"),
    ("{{ 1" + String(repeating: " + 1", count: 100_000) + " }}", "levels"),
    ("{{ a" + String(repeating: ".a", count: 100_000) + " }}", "levels"),
    ("{{ a" + String(repeating: "|e", count: 100_000) + " }}", "levels"),
    ("{{ 1" + String(repeating: " if 1 else 1", count: 100_000) + " }}", "inside each other"),
    (String(repeating: "{% if 1 %}", count: 100_000), "inside each other"),
    ("{% for " + String(repeating: "(", count: 100_000), "inside each other"),
    ("{{ '" + String(repeating: "{:", count: 100_000) + "'.format(1) }}", "recursion"),
  ]

  @Test(arguments: hostile.indices)
  func hostileTemplatesEndWithAnError(_ i: Int) throws {
    let (source, reason) = Self.hostile[i]
    // A parenthesis in text is text.
    if !source.contains("{") { return #expect(try rendered(source) == source) }
    let error = #expect(throws: ChatTemplateError.self) { try rendered(source) }
    #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "") for \(source.prefix(80))")
  }

  @Test func longSearchesTakeLinearTime() throws {
    let variables: JSONObject = [
      "a": .string(String(repeating: "a", count: 1 << 20)),
      "b": .string(String(repeating: "a", count: 1 << 19) + "b"),
    ]
    #expect(
      try rendered("{{ b in a }} {{ a.find(b) }} {{ a.rfind(b) }} {{ a.split(b) | length }}", variables)
        == "False -1 -1 1")
  }

  @Test func aMacroMayCallItselfAsDeepAsSchemasGo() throws {
    let source =
      "{% macro f(n) %}{% if n > 0 %}{% for i in [1] %}{{ f(n - 1) }}{% endfor %}{% else %}end{% endif %}{% endmacro %}{{ f(40) }}"
    #expect(try rendered(source) == "end")
  }
}

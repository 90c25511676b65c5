/// A page that needs nothing beside itself: no script, no font and no picture from elsewhere, in light and in dark.
struct HTMLPage {
  let title: String
  /// The parts of the page, as HTML.
  var sections: [String] = []

  init(title: String) { self.title = title }

  var text: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>\(Self.escaped(title))</title>
    <style>\(Self.style)</style>
    </head>
    <body>
    <main>
    \(sections.joined(separator: "\n"))
    </main>
    </body>
    </html>

    """
  }

  /// Text as the content or an attribute of an element.
  static func escaped(_ text: String) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      // A control character is no part of HTML.
      case "\u{0}"..<" " where character != "\n" && character != "\t": escaped += "\u{FFFD}"
      default: escaped.unicodeScalars.append(character)
      }
    }
    return escaped
  }

  /// A table; its cells are text, numbers to the right.
  static func table(_ columns: [TextTable.Column], _ rows: [[String]]) -> String {
    func cell(_ text: String, _ column: TextTable.Column, _ tag: String) -> String {
      "<\(tag)\(tag == "th" ? " scope=\"col\"" : "")\(column.isNumber ? " class=\"n\"" : "")>\(escaped(text))</\(tag)>"
    }
    func row(_ cells: [String], _ tag: String) -> String {
      "<tr>" + zip(cells, columns).map { cell($0, $1, tag) }.joined() + "</tr>"
    }
    let body = rows.map { row($0, "td") }.joined(separator: "\n")
    return """
      <div class="wide" tabindex="0" role="region" aria-label="Table"><table\(columns.count > 3 ? " class=\"many\"" : "")>
      <thead>\(row(columns.map(\.title), "th"))</thead>
      <tbody>
      \(body)
      </tbody></table></div>
      """
  }

  /// Names and what they stand for; what is long has the place of two.
  static func facts(_ facts: [(name: String, value: String)]) -> String {
    let items = facts.map { name, value in
      "<div\(value.count > 24 ? " class=\"long\"" : "")><dt>\(escaped(name))</dt><dd>\(escaped(value))</dd></div>"
    }
    return "<dl>\(items.joined(separator: "\n"))</dl>"
  }

  static func section(_ title: String, _ parts: String...) -> String {
    "<section><h2>\(escaped(title))</h2>\n\(parts.joined(separator: "\n"))\n</section>"
  }

  static func paragraph(_ text: String, kind: String? = nil) -> String {
    "<p\(kind.map { " class=\"\($0)\"" } ?? "")>\(escaped(text))</p>"
  }

  private static let style = """

    :root { --paper: #fff; --ink: #1c2024; --faint: #60646c; --line: #d9dce3; --box: #f6f7f9; --warn: #fff4d6;
      --warn-ink: #6b4a00; --s0: #2459c9; --s1: #b45309; --s2: #047857; --s3: #b5177a; --s4: #6d28d9; --s5: #0e7490; }
    @media (prefers-color-scheme: dark) {
      :root { --paper: #16181c; --ink: #e8eaee; --faint: #a2a8b4; --line: #363b45; --box: #1f2229; --warn: #3d3114;
        --warn-ink: #ffdf94; --s0: #8ab4ff; --s1: #fbb054; --s2: #4fd1a1; --s3: #ff8ac9; --s4: #c3a6ff; --s5: #5fd4e8; }
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
    main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 64px; }
    h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
    h2 { font-size: 18px; margin: 36px 0 10px; padding-top: 12px; border-top: 1px solid var(--line); }
    p { margin: 6px 0; overflow-wrap: anywhere; } .faint { color: var(--faint); font-size: 13px; }
    .warn { background: var(--warn); color: var(--warn-ink); padding: 8px 12px; border-radius: 6px; }
    dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 10px; margin: 16px 0; }
    dl div { background: var(--box); border-radius: 6px; padding: 8px 12px; min-width: 0; }
    .long { grid-column: span 2; }
    @media (max-width: 375px) { .long { grid-column: auto; } }
    dt { color: var(--faint); font-size: 12px; } dd { margin: 0; overflow-wrap: anywhere; }
    .wide { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-size: 14px; }
    @media (max-width: 760px) { .many { min-width: 720px; } }
    th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
    th { color: var(--faint); font-weight: 600; font-size: 12px; white-space: nowrap; }
    th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; }
    td { overflow-wrap: break-word; }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 20px; }
    figure { margin: 0; min-width: 0; } .wide + figure { margin-top: 18px; }
    details { margin: 12px 0; } summary { cursor: pointer; }
    figcaption { font-weight: 600; margin-bottom: 2px; }
    svg { width: 100%; height: auto; display: block; }
    svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
    @media (max-width: 560px) { svg text { font-size: 17px; } }
    .grid { stroke: var(--line); stroke-width: 1; } .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
    .thin { stroke-width: 1; opacity: .45; }
    .c0 { stroke: var(--s0); } .c1 { stroke: var(--s1); } .c2 { stroke: var(--s2); }
    .c3 { stroke: var(--s3); } .c4 { stroke: var(--s4); } .c5 { stroke: var(--s5); }
    .f0 { fill: var(--s0); } .f1 { fill: var(--s1); } .f2 { fill: var(--s2); }
    .f3 { fill: var(--s3); } .f4 { fill: var(--s4); } .f5 { fill: var(--s5); }
    .key { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; color: var(--faint); }
    .key svg { display: inline-block; width: 18px; height: 8px; margin-right: 5px; vertical-align: middle; }
    @media print { main { max-width: none; } section { break-inside: avoid; } }

    """
}

import Hummingbird
import JSON
import Service

/// The page, and what it is made of.
struct PageRoutes: Sendable {
  let desk: RunDesk

  var routes: [Route] {
    [
      Route(.get, "/") { _ in PageFile.response("index.html") },
      Route(.get, "/nested-learning") { _ in PageFile.response("index.html") },
      Route(.get, "/assets/{file}") { asked in
        guard let name = asked.parameter("file"), PageFile.all[name] != nil else {
          throw RunRequestError(.unknown, "there is no such file")
        }
        return PageFile.response(name)
      },
      Route(.get, "/nested-learning/openapi.json") { _ in Answer.json(OpenAPIFile.json) },
    ] + WellnessRoutes(desk: desk).routes
  }
}

/// A file of the page, which the program has within itself.
enum PageFile {
  static let all: [String: (text: StaticString, type: String)] = [
    "index.html": (EmbeddedFiles.index_html, "text/html; charset=utf-8"),
    "login.html": (EmbeddedFiles.login_html, "text/html; charset=utf-8"),
    "style.css": (EmbeddedFiles.style_css, "text/css; charset=utf-8"),
    "dygraph.css": (EmbeddedFiles.dygraph_css, "text/css; charset=utf-8"),
    "dygraph.js": (EmbeddedFiles.dygraph_js, script),
    "page.js": (EmbeddedFiles.page_js, script),
    "api.js": (EmbeddedFiles.api_js, script),
    "elements.js": (EmbeddedFiles.elements_js, script),
    "charts.js": (EmbeddedFiles.charts_js, script),
    "newrun.js": (EmbeddedFiles.newrun_js, script),
    "run.js": (EmbeddedFiles.run_js, script),
    "curves.js": (EmbeddedFiles.curves_js, script),
    "metrics.js": (EmbeddedFiles.metrics_js, script),
    "compared.js": (EmbeddedFiles.compared_js, script),
    "trial.js": (EmbeddedFiles.trial_js, script),
    "queue.js": (EmbeddedFiles.queue_js, script),
    "runs.js": (EmbeddedFiles.runs_js, script),
    "learn.js": (EmbeddedFiles.learn_js, script),
    "login.js": (EmbeddedFiles.login_js, script),
    "icon.svg": (EmbeddedFiles.icon_svg, "image/svg+xml"),
  ]

  private static let script = "text/javascript; charset=utf-8"

  static func response(_ name: String) -> Response {
    guard let file = all[name] else {
      return Answer.error(RunRequestError(.unknown, "there is no such file"))
    }
    var response = Answer.bytes(file.text.bytes, type: file.type)
    response.headers[.cacheControl] = "no-cache"
    return response
  }
}

extension StaticString {
  /// The text in UTF-8.
  var bytes: [UInt8] { withUTF8Buffer { Array($0) } }
}

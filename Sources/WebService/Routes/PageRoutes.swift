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
  static let all: [String: (bytes: [UInt8], type: String)] = [
    "index.html": (PackageResources.index_html, "text/html; charset=utf-8"),
    "login.html": (PackageResources.login_html, "text/html; charset=utf-8"),
    "style.css": (PackageResources.style_css, "text/css; charset=utf-8"),
    "dygraph.css": (PackageResources.dygraph_css, "text/css; charset=utf-8"),
    "dygraph.js": (PackageResources.dygraph_js, script),
    "page.js": (PackageResources.page_js, script),
    "api.js": (PackageResources.api_js, script),
    "elements.js": (PackageResources.elements_js, script),
    "charts.js": (PackageResources.charts_js, script),
    "newrun.js": (PackageResources.newrun_js, script),
    "run.js": (PackageResources.run_js, script),
    "curves.js": (PackageResources.curves_js, script),
    "metrics.js": (PackageResources.metrics_js, script),
    "compared.js": (PackageResources.compared_js, script),
    "trial.js": (PackageResources.trial_js, script),
    "queue.js": (PackageResources.queue_js, script),
    "runs.js": (PackageResources.runs_js, script),
    "learn.js": (PackageResources.learn_js, script),
    "login.js": (PackageResources.login_js, script),
    "icon.svg": (PackageResources.icon_svg, "image/svg+xml"),
  ]

  private static let script = "text/javascript; charset=utf-8"

  static func response(_ name: String) -> Response {
    guard let file = all[name] else {
      return Answer.error(RunRequestError(.unknown, "there is no such file"))
    }
    var response = Answer.bytes(file.bytes, type: file.type)
    response.headers[.cacheControl] = "no-cache"
    return response
  }
}

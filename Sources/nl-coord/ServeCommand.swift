import ArgumentParser
import Foundation
import ProgramFlags
import Service
import WebService

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Look after a folder of runs: a web page, an HTTP API and a queue, with one fleet of workers.",
    discussion: """
      Runs are started from the page or by HTTP, one after the other or --parallel-runs together; workers stay from one \
      to the next. What runs and what waits is kept in RUNS/queue.json, so that after a crash or a restart all of it goes \
      on by itself. Runs that nl-coord train has begun in RUNS are shown too.

      Without --token only this machine is answered. The folders are made if they are not there.

      Examples:
        nl-coord serve
        nl-coord serve --models ~/models --data ~/data --runs ~/runs --local-workers 2
        nl-coord serve --listen tcp://10.0.0.1:5555 --key coordinator.key --allow-keys workers.txt
        nl-coord serve --listen-http 0.0.0.0:8000 --token token.txt
        curl -s http://127.0.0.1:8000/nested-learning/status
      """)

  @Option(help: ArgumentHelp("Where the page and the API are answered.", valueName: "addr:port"))
  var listenHttp = "127.0.0.1:8000"

  @Option(
    help: ArgumentHelp(
      "A file whose content clients have to bear, or log in with; needed beyond this machine.",
      valueName: "file"))
  var token: String?

  @Option(help: ArgumentHelp("The folder that base models are below.", valueName: "folder"))
  var models = "models"

  @Option(help: ArgumentHelp("The folder that data is below, and uploads go to.", valueName: "folder"))
  var data = "data"

  @Option(help: ArgumentHelp("The folder that the folders of runs are in.", valueName: "folder"))
  var runs = "runs"

  @Option(help: ArgumentHelp("How many runs are at work together.", valueName: "n"))
  var parallelRuns = 1

  @Option(help: ArgumentHelp("Bytes of an uploaded file at most.", valueName: "bytes"))
  var uploadLimit = 1_000_000_000

  @OptionGroup(title: "How runs are carried out")
  var flags: RunFlags

  func validate() throws {
    if parallelRuns < 1 { throw ValidationError("--parallel-runs must be at least 1") }
    if uploadLimit < 1 { throw ValidationError("--upload-limit must be at least 1") }
  }

  func run() throws {
    var options = try flags.options(localWorkersByDefault: true)
    options.parallelRuns = parallelRuns
    var web = try WebOptions(address: listenHttp, tokenFile: token, models: models, data: data, runs: runs)
    web.uploadLimit = uploadLimit
    try CoordinatorProcess.serve(runs: web.runs, options: options) { desk, logger in
      let server = try WebServer(options: web, desk: desk, logger: logger)
      return { server.stop() }
    }
  }
}

import ArgumentParser
import Observability

struct HealthCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "health",
    abstract: "Ask a coordinator or worker on this machine whether it is well.",
    discussion: """
      It has to have been started with --metrics-listen. The exit status is 0 if it is, else 1: for the health checks \
      of containers.

      Examples:
        nl-tool health
        nl-tool health --ready --port 9464
      """)

  @Option(help: "The port of --metrics-listen.")
  var port: UInt16 = 9464

  @Flag(help: "Ask whether it can do its work now, not only whether it is alive.")
  var ready = false

  func run() throws {
    let answer = try HealthProbe.ask(port: port, path: ready ? "/readyz" : "/healthz")
    print(answer.reason)
    if !answer.isGood { throw ExitCode.failure }
  }
}

import ArgumentParser
import Files
import Service

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen",
    abstract: "Make a key, for a coordinator or a worker on another machine.",
    discussion: """
      FILE gets the secret key, which only you can read and which never leaves its machine; FILE.pub gets the public \
      key, which is also printed. A coordinator lists the public keys of its workers, a worker names that of its \
      coordinator.

      Examples:
        nl-tool keygen --output coordinator.key
        nl-tool keygen --output worker.key
        cat worker.key.pub >> workers.txt
        nl-coord train --config demo.yaml --listen tcp://10.0.0.1:5555 --key coordinator.key --allow-keys workers.txt
        nl-worker --connect tcp://10.0.0.1:5555 --key worker.key --server-key coordinator.key.pub
      """)

  @Option(help: "The file to write; an existing one is never replaced.")
  var output: String

  func run() throws { print(try KeyFile.generate(path: FileSystem.expandingTilde(output))) }
}

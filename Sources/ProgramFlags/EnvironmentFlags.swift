import ArgumentParser
import Foundation
import JSON
import NestedLearning
import Service

/// Flags from the environment, as containers are configured: each flag of a program is also `NL_` and its name in
/// capitals, `--num-steps` is `NL_NUM_STEPS`. What is on the command line wins.
public enum EnvironmentFlags {
  /// The arguments, followed by those flags that the environment has and they have not.
  ///
  /// - Throws: `ValidationError` if what stands for a flag without a value is neither yes nor no.
  public static func complete(
    _ arguments: [String], of program: any ParsableCommand.Type, environment: [String: String]
  ) throws -> [String] {
    guard environment.keys.contains(where: { $0.hasPrefix("NL_") }) else { return arguments }
    // The one place where a parser's flags can be had by name; completion scripts are made from it, too.
    guard let root = try? JSONValue(parsing: program._dumpHelp())["command"] else { return arguments }
    let command = subcommand(of: root, arguments)
    let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
    var more: [String] = []
    for argument in command["arguments"]?.array ?? [] {
      guard let name = longName(of: argument), let value = environment[variable(of: name)],
        !arguments[..<end].contains(where: { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") })
      else { continue }
      more += try words(argument, name: name, value: value)
    }
    return arguments[..<end] + more + arguments[end...]
  }

  /// Variables that look like a flag of the program with a letter or two wrong, and that flag's. There are others that
  /// begin with NL_, which are nobody's mistakes: settings of compose files and scripts.
  static func mistyped(
    of program: any ParsableCommand.Type, environment: [String: String]
  ) -> [(name: String, meant: String)] {
    guard environment.keys.contains(where: { $0.hasPrefix("NL_") }),
      let root = try? JSONValue(parsing: program._dumpHelp())["command"]
    else { return [] }
    let known = variables(of: root)
    return environment.keys.sorted().compactMap { name in
      guard name.hasPrefix("NL_"), name.utf8.count >= 8, !known.contains(name),
        let meant = EditDistance.nearest(to: name, among: known), EditDistance.distance(name, meant) <= 2
      else { return nil }
      return (name, meant)
    }
  }

  /// Those of a command and all its subcommands.
  private static func variables(of command: JSONValue) -> [String] {
    (command["arguments"]?.array ?? []).compactMap { longName(of: $0).map(variable(of:)) }
      + (command["subcommands"]?.array ?? []).flatMap(variables(of:))
  }

  static func variable(of name: String) -> String {
    "NL_" + name.uppercased().replacing("-", with: "_")
  }

  private static func subcommand(of root: JSONValue, _ arguments: [String]) -> JSONValue {
    var command = root
    for word in arguments {
      let next = command["subcommands"]?.array?.first { $0["commandName"]?.string == word }
      guard let next else { break }
      command = next
    }
    return command
  }

  /// Nil for what is not a flag, and for `--help` and `--version`.
  private static func longName(of argument: JSONValue) -> String? {
    let names = argument["names"]?.array ?? []
    let name = names.first { $0["kind"]?.string == "long" }?["name"]?.string
    return name == "help" || name == "version" ? nil : name
  }

  private static func words(_ argument: JSONValue, name: String, value: String) throws -> [String] {
    if argument["kind"]?.string == "flag" {
      switch value.lowercased() {
      case "1", "true", "yes": return ["--\(name)"]
      case "", "0", "false", "no": return []
      default: throw ValidationError("\(variable(of: name)) is \"\(value)\"; 1 or 0 is wanted")
      }
    }
    // An empty variable is how compose files say that there is none.
    guard !value.isEmpty else { return [] }
    guard argument["isRepeating"]?.bool == true else { return ["--\(name)=\(value)"] }
    return ["--\(name)"] + value.split(separator: " ").map(String.init)
  }
}

extension ParsableCommand {
  /// The first process of a container is not ended by a signal that it has said nothing of. Whoever has something to
  /// finish first takes the signals over later.
  private static func endOnSignals() {
    guard getpid() == 1 else { return }
    for number in [SIGTERM, SIGINT] { signal(number) { _exit(128 + $0) } }
  }

  /// Runs the program with its arguments and its environment.
  public static func mainWithEnvironment(_ arguments: [String], environment: [String: String]) {
    endOnSignals()
    for (name, meant) in EnvironmentFlags.mistyped(of: Self.self, environment: environment) {
      let text = "Warning: the variable \(name) is no flag of \(_commandName); \(meant) is\n"
      try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
    do {
      try InstructionSet.check(environment: ProcessInfo.processInfo.environment)
      main(try EnvironmentFlags.complete(arguments, of: Self.self, environment: environment))
    } catch {
      exit(withError: error)
    }
  }
}

import ArgumentParser
import Testing

@testable import ProgramFlags

/// The flags of a program of two commands, as its parser sees them after the environment was added.
@Suite struct EnvironmentFlagsTests {
  struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(subcommands: [Train.self, Status.self])
  }
  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "train")
    @Option var numSteps: Int?
    @Option var experimentName: String?
    @Option(parsing: .upToNextOption) var frequencies: [Int] = []
    @Flag var insecure = false
  }
  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status")
    @Argument var folder: String
    @Option(parsing: .upToNextOption) var frequencies: [Int] = []
  }

  func train(_ arguments: [String], _ environment: [String: String]) throws -> Train {
    let all = try EnvironmentFlags.complete(["train"] + arguments, of: Program.self, environment: environment)
    return try #require(try Program.parseAsRoot(all) as? Train)
  }

  @Test func everyFlagHasAVariable() throws {
    let command = try train(
      [],
      [
        "NL_NUM_STEPS": "7", "NL_EXPERIMENT_NAME": "-a b=c", "NL_FREQUENCIES": "1 2  4", "NL_INSECURE": "1",
        "NL_OTHER": "x",
      ])
    #expect(command.numSteps == 7)
    #expect(command.experimentName == "-a b=c")
    #expect(command.frequencies == [1, 2, 4])
    #expect(command.insecure)
  }

  /// Compose files and scripts have NL_ variables of their own; only what is a letter or two away is a mistake.
  @Test func mistypedVariables() {
    let environment = [
      "NL_NUM_STEP": "7", "NL_EXPERIMNET_NAME": "a", "NL_NUM_STEPS": "7", "NL_WORKERS": "2", "NL_BIN": "b",
      "NL_DATA_FOLDER": "/d", "XL_NUM_STEP": "7",
    ]
    let found = EnvironmentFlags.mistyped(of: Program.self, environment: environment)
    #expect(found.map(\.name) == ["NL_EXPERIMNET_NAME", "NL_NUM_STEP"])
    #expect(found.map(\.meant) == ["NL_EXPERIMENT_NAME", "NL_NUM_STEPS"])
  }

  @Test func flagsWin() throws {
    let environment = ["NL_NUM_STEPS": "7", "NL_EXPERIMENT_NAME": "a", "NL_FREQUENCIES": "1 2"]
    let command = try train(["--num-steps", "8", "--experiment-name=b", "--frequencies", "3"], environment)
    #expect(command.numSteps == 8)
    #expect(command.experimentName == "b")
    #expect(command.frequencies == [3])
  }

  @Test func whatIsEmptyIsNotGiven() throws {
    let command = try train([], ["NL_NUM_STEPS": "", "NL_INSECURE": "0"])
    #expect(command.numSteps == nil)
    #expect(!command.insecure)
  }

  @Test func neitherYesNorNoIsAnError() {
    let error = #expect(throws: ValidationError.self) { try train([], ["NL_INSECURE": "maybe"]) }
    #expect(error?.message == "NL_INSECURE is \"maybe\"; 1 or 0 is wanted")
  }

  /// A list from the environment does not swallow what follows.
  @Test func argumentsKeepTheirPlaces() throws {
    let all = try EnvironmentFlags.complete(
      ["status", "runs/demo"], of: Program.self, environment: ["NL_FREQUENCIES": "1 2", "NL_NUM_STEPS": "3"])
    #expect(all == ["status", "runs/demo", "--frequencies", "1", "2"])
    let behind = try EnvironmentFlags.complete(
      ["status", "--", "-demo"], of: Program.self, environment: ["NL_FREQUENCIES": "1 2"])
    #expect(behind == ["status", "--frequencies", "1", "2", "--", "-demo"])
  }
}

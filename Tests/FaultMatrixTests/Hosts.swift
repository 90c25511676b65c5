import Foundation
import Harness

/// Hosts in network namespaces, by `cluster/testbed/network.sh`; gone with the last holder of this.
final class Hosts {
  /// Whether this machine and user can have them.
  static let areThere = (try? script(["check"], name: "nlcheck").status) == 0

  private let name: String

  /// - Throws: `HarnessError` if they cannot be made.
  init(count: Int) throws {
    name = "nl\(ProcessInfo.processInfo.processIdentifier)"
    _ = try Self.script(["down"], name: name)
    try Self.script(["up", "\(count)"], name: name).expectSuccess()
  }

  deinit { _ = try? Self.script(["down"], name: name) }

  /// The command that runs a program on a host.
  func prefix(_ host: Int) -> [String] { ["/usr/bin/env", "ip", "netns", "exec", "\(name)\(host)"] }

  static func address(_ host: Int) -> String { "10.77.0.\(host)" }

  /// Does something to a host, as `network.sh` says.
  func set(_ fault: String, _ host: Int, _ arguments: String...) throws {
    try Self.script([fault, "\(host)"] + arguments, name: name).expectSuccess()
  }

  private static func script(_ arguments: [String], name: String) throws -> Program.Result {
    try Program(name: TestBed.path("network.sh")).run(
      arguments, environment: ["NL_NETWORK": name], seconds: 30)
  }
}

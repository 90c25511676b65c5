import Foundation
import JSON
import Ledger
import Testing

@testable import Service

func runRecord(_ name: String) -> RunRecord {
  RunRecord(
    experimentName: name, baseModelPath: "/models/tiny", configuration: ["experiment_name": .string(name)],
    program: "tests")
}

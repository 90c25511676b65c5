import Coordination
import Testing

@testable import Service

/// The reference is the grammar in the docstring: `NAME[=VALUE][@COUNT],…`.
@Suite struct FailpointsTests {
  @Test func nothingIsAskedForByAnEmptyText() throws {
    let failpoints = try Failpoints(parsing: "")
    for name in Failpoint.allCases {
      #expect(!failpoints.fires(name))
      #expect(failpoints.number(name) == nil)
      #expect(failpoints.word(name) == nil)
    }
  }

  @Test func withoutACountEveryPassFires() throws {
    let failpoints = try Failpoints(parsing: "gradient.nan")
    #expect((1...3).map { _ in failpoints.fires(.gradientNaN) } == [true, true, true])
    #expect(!failpoints.fires(.gradientWrong))
  }

  @Test func withACountThatPassAloneFires() throws {
    let failpoints = try Failpoints(parsing: "gradient.nan@2, result.drop@1")
    #expect((1...3).map { _ in failpoints.fires(.gradientNaN) } == [false, true, false])
    #expect((1...2).map { _ in failpoints.fires(.resultDrop) } == [true, false])
  }

  @Test func settingsHaveValues() throws {
    let failpoints = try Failpoints(parsing: "lease.floor=1.5,silence=2,numeric-profile=other")
    var settings = SchedulerSettings(
      term: 1, run: "", tierParameterCounts: [1], modelSHA256: "", numericProfile: "")
    var fleet = FleetSettings(sessionSeed: 0)
    let usual = settings
    failpoints.shorten(&settings)
    failpoints.shorten(&fleet)
    #expect(settings.leaseFloorSeconds == 1.5)
    #expect(fleet.silenceSeconds == 2)
    #expect(settings.noWorkerSeconds == usual.noWorkerSeconds)
    #expect(failpoints.word(.numericProfile) == "other")
  }

  /// Each of these names the entry and what is wrong with it.
  @Test(arguments: [
    ("exit.comput", "\"exit.comput\" is not one of exit.accept"),
    ("gradient.nan,,result.drop", "\"\" is not one of"),
    ("gradient.nan@0", "\"gradient.nan@0\" has a count"), ("gradient.nan@x", "has a count"),
    ("gradient.nan@1@2", "has a count"), ("gradient.nan=1", "gradient.nan, without a value"),
    ("compute.slow", "compute.slow=NUMBER, from 1.0 to 1000.0"), ("compute.slow=fast", "compute.slow=NUMBER"),
    ("compute.slow=nan", "compute.slow=NUMBER"), ("compute.slow=0.5", "compute.slow=NUMBER"),
    ("silence=1@3", "is a setting"), ("numeric-profile=", "numeric-profile=WORD"),
    ("result.drop,result.drop@2", "result.drop is given twice"),
  ])
  func whatCannotBeReadIsNamed(text: String, words: String) {
    let error = #expect(throws: ServiceError.self) { try Failpoints(parsing: text) }
    #expect(error.map { $0.description.contains("NL_FAILPOINTS") && $0.description.contains(words) } == true)
  }

  @Test func tamperedValuesDiffer() throws {
    var values: [Float] = [1, 2]
    try Failpoints(parsing: "gradient.wrong@2").tamper(with: &values)
    #expect(values == [1, 2])
    try Failpoints(parsing: "gradient.wrong").tamper(with: &values)
    #expect(values == [2, 2])
    try Failpoints(parsing: "gradient.nan").tamper(with: &values)
    #expect(values[0].isNaN && values[1] == 2)
  }
}

import Coordination
import Testing
import WireProtocol

@testable import Training

/// Parameters of past steps. The reference is the list of what each step was computed with.
@Suite struct ParameterHistoryTests {
  /// Tiers of 3 and 2 values, the numbers of which say tier and version.
  static func tiers(_ versions: [Int]) -> [TierValues] {
    versions.enumerated().map { tier, version in
      TierValues(
        tier: tier, version: version, digest: "\(tier).\(version)",
        values: WireObject(
          name: "tier", floats: Array(repeating: Float(tier * 100 + version), count: 3 - tier)))
    }
  }

  /// Tier 0 changes at every step, tier 1 at every third: each version is kept once, and as long as a step needs it.
  @Test func eachVersionOnceAndNoLongerThanNeeded() throws {
    var archive = ParameterHistory()
    for step in 1...7 { archive.keep(Self.tiers([step, step / 3]), step: step) }
    #expect(archive.bytes == 7 * 12 + 3 * 8)
    for step in 1...7 {
      let versions = try #require(archive.versions(of: step))
      #expect(versions.map(\.version) == [step, step / 3])
      #expect(versions.map(\.digest) == ["0.\(step)", "1.\(step / 3)"])
    }
    #expect(archive.versions(of: 8) == nil && archive.versions(of: 0) == nil)
    archive.forget(before: 5)
    #expect((1...4).allSatisfy { archive.versions(of: $0) == nil })
    // Version 1 of tier 1 is that of steps 3 to 5.
    #expect(archive.bytes == 3 * 12 + 2 * 8)
    #expect(try archive.values(tier: 1, version: 1)?.values.floats() == [101, 101])
    #expect(archive.values(tier: 1, version: 0) == nil && archive.values(tier: 0, version: 4) == nil)
    archive.forget(before: 6)
    #expect(archive.values(tier: 1, version: 1) == nil && archive.bytes == 2 * 12 + 8)
    archive.forget(before: 100)
    #expect(archive.bytes == 0 && archive.versions(of: 7) == nil)
    #expect(archive.values(tier: 2, version: 0) == nil)
  }
}

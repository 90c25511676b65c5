import Coordination
import Foundation
import Testing
import Transport

@testable import Service

/// However many connections are refused, the log has a line in ten seconds, and loses none of them.
@Suite struct RefusalLogTests {
  private func key() throws -> PublicKey { try SecretKey.generate().publicKey }

  @Test func oneLineInTenSeconds() throws {
    var log = RefusalLog()
    let first = try key()
    #expect(log.line([], count: 0, now: .zero) == nil)
    let line = log.line([Refusal(address: "10.0.0.2", key: first)], count: 1, now: .zero)
    #expect(line?.hasPrefix("refused 1 connection: the public key \(first) from 10.0.0.2; ") == true)
    #expect(line?.contains("--allow-keys") == true)
    var lines: [String] = []
    for tenth in 1..<1000 {
      let refusal = Refusal(address: "10.0.0.3", key: nil)
      if let line = log.line([refusal], count: 5, now: .zero + Double(tenth) / 10) { lines.append(line) }
    }
    #expect(lines.count == 9)
    // All of them are counted: 5 in each of the 99 to 100 calls since the line before.
    #expect(lines.allSatisfy { $0.hasPrefix("refused 500 connections: no proper request from 10.0.0.3; ") })
  }

  /// Keys are named, the first few and each once, in whatever order they come.
  @Test func aFewKeys() throws {
    var log = RefusalLog()
    _ = log.line([Refusal(address: "a", key: nil)], count: 1, now: .zero)
    let keys = try (0..<10).map { _ in try key() }
    for second in 1..<10 {
      let refusals = keys.map { Refusal(address: "h", key: $0) }
      #expect(log.line(refusals, count: 10, now: .zero + Double(second)) == nil)
    }
    let due = log.line([], count: 0, now: .zero + 10)
    let line = try #require(due)
    #expect(line.hasPrefix("refused 90 connections: "))
    #expect(
      keys.map { line.contains($0.description) } == Array(repeating: true, count: 4)
        + Array(repeating: false, count: 6))
    // What was told is not told again.
    #expect(log.line([], count: 0, now: .zero + 100) == nil)
  }
}

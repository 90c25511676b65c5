import Coordination
import Foundation
import Harness
import Testing
import Transport

@testable import Service

/// A list of keys that changes under a run. What cannot be used changes nothing.
@Suite struct AllowListTests {
  @Test func followsTheFile() throws {
    let scratch = try Scratch()
    let keys = try (0..<3).map { _ in try SecretKey.generate().publicKey }
    let path = try scratch.write("list", "\(keys[0]) a\n")
    let list = try AllowList(path: path)
    #expect(list.read() == nil)
    try scratch.write("list", "\(keys[0]) a\n\(keys[1]) b\n")
    guard case .changed(let two) = list.read() else { return #expect(Bool(false), "it has not changed") }
    #expect(Set(two.keys) == Set(keys[0...1]) && list.keys == two)
    // Broken, empty and gone: told once each, with the file; the old one holds.
    for (text, words) in [
      ("\(keys[2])\nbroken\n", ":2: not a public key"), ("", "no public key"), (nil, "No such file"),
    ] {
      if let text {
        try scratch.write("list", text)
      } else {
        try FileManager.default.removeItem(atPath: path)
      }
      guard case .unusable(let reason) = list.read() else {
        return #expect(Bool(false), "\(words) is not told of")
      }
      #expect(reason.contains(path) && reason.contains(words), "\(reason)")
      #expect(list.read() == nil && list.keys == two)
    }
    try scratch.write("list", "\(keys[2])\n")
    guard case .changed(let one) = list.read() else { return #expect(Bool(false), "it has not changed") }
    #expect(Array(one.keys) == [keys[2]])
    // The last one can be taken out, too, on purpose.
    try scratch.write("list", "# nobody\n")
    guard case .changed(let none) = list.read() else { return #expect(Bool(false), "it has not changed") }
    #expect(none.isEmpty && list.keys.isEmpty)
  }

  /// It is read once a second at most, however often it is looked at.
  @Test func onceASecond() throws {
    let scratch = try Scratch()
    let path = try scratch.write("list", "\(SecretKey.generate().publicKey)\n")
    let list = try AllowList(path: path)
    try FileManager.default.removeItem(atPath: path)
    let told = DispatchSemaphore(value: 0)
    for _ in 0..<100 { list.look(now: .zero + 5) { _ in told.signal() } }
    #expect(told.wait(timeout: .now() + 10) == .success)
    #expect(told.wait(timeout: .now() + 0.2) == .timedOut)
    try scratch.write("list", "")
    list.look(now: .zero + 5.9) { _ in told.signal() }
    #expect(told.wait(timeout: .now() + 0.2) == .timedOut)
    list.look(now: .zero + 6) { _ in told.signal() }
    #expect(told.wait(timeout: .now() + 10) == .success)
  }
}

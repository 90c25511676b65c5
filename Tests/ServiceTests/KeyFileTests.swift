import Foundation
import Testing

@testable import Service
@testable import Transport

@Suite struct KeyFileTests {
  let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "nl-keys-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  private func path(_ name: String) -> String { folder + "/" + name }

  private func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
    return path(name)
  }

  private func mode(_ path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
  }

  private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return ""
  }

  @Test func aKeyIsWrittenAndReadAgain() throws {
    let text = try KeyFile.generate(path: path("a.key"))
    #expect(try mode(path("a.key")) == 0o600)
    #expect(try KeyFile.secretKey(path: path("a.key")).publicKey.description == text)
    #expect(try KeyFile.publicKey(path("a.key.pub")).description == text)
    #expect(try KeyFile.publicKey(text).description == text)
    // As the .pub file shows it.
    #expect(try KeyFile.publicKey("\(text) a.key").description == text)
    #expect(try KeyFile.allowedKeys(path: path("a.key.pub")).map(\.value) == ["a.key"])
    #expect(message { _ = try KeyFile.secretKey(path: path("a.key.pub")) }.contains("give the secret one"))
    // A path of 40 characters that are all a key's, too.
    let missing = "/etc/nested-learning/coordinator.key.pub"
    if FileManager.default.fileExists(atPath: missing) == false {
      #expect(PublicKey(missing) != nil)
      #expect(message { _ = try KeyFile.publicKey(missing) }.contains("No such file"))
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  @Test(arguments: ["a.key", "a.key.pub"]) func nothingIsOverwritten(existing: String) throws {
    let file = try write(existing, "mine")
    #expect(message { _ = try KeyFile.generate(path: path("a.key")) }.contains("\(file) exists already"))
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [existing])
    try? FileManager.default.removeItem(atPath: folder)
  }

  @Test(arguments: [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
  func aSecretThatOthersCanReachIsRefused(mode: Int) throws {
    _ = try KeyFile.generate(path: path("a.key"))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path("a.key"))
    // Of root's the test below speaks.
    if getuid() == 0 { try #require(chown(path("a.key"), 1, 1) == 0) }
    #expect(message { _ = try KeyFile.secretKey(path: path("a.key")) }.contains("chmod 600 \(path("a.key"))"))
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// As Secrets of Kubernetes and credentials of systemd are laid: root's file, which the program's group may read.
  @Test(.enabled("only root can give root a file") { getuid() == 0 })
  func rootsFileMayBeReadByItsGroup() throws {
    let text = try KeyFile.generate(path: path("a.key"))
    for (mode, isAccepted) in [(0o440, true), (0o640, true), (0o660, false), (0o650, false), (0o644, false)] {
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path("a.key"))
      let key = try? KeyFile.secretKey(path: path("a.key")).publicKey.description
      #expect(key == (isAccepted ? text : nil), "\(String(mode, radix: 8))")
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// What is wrong is named by file and line; what stands there is not repeated.
  @Test func malformedFiles() throws {
    let one = try SecretKey.generate()
    let two = try SecretKey.generate().publicKey
    let list = try write("list", "# workers\n\n\(one.publicKey) first\n\t\(two)\n", mode: 0o644)
    #expect(try KeyFile.allowedKeys(path: list) == [one.publicKey: "first", two: ""])
    let bad = [
      ("\(two)\nnl-secret-key \(one.exposedText)\n", ":2: not a public key"),
      ("\(two)x\n", ":1: not a public key"),
      ("\(two) a name\n", ":1: not a public key"), ("\(two)\n#\n\(two)\n", ":3: the same key as in line 1"),
      ("# none\n", "no public key"), ("", "no public key"),
    ]
    for (text, words) in bad {
      let message = message { _ = try KeyFile.allowedKeys(path: try write("bad", text)) }
      #expect(message.contains(path("bad")) && message.contains(words), "\(message)")
      #expect(!message.contains(one.exposedText) && !message.contains(two.description))
    }
    for text in ["\(two)\n", "", "nl-secret-key short\n", "\(one.exposedText)\n"] {
      let message = message { _ = try KeyFile.secretKey(path: try write("bad", text)) }
      #expect(message.contains(path("bad")) && message.contains("nl-tool keygen"), "\(message)")
      #expect(!message.contains(one.exposedText))
    }
    #expect(message { _ = try KeyFile.secretKey(path: path("none")) }.contains(path("none")))
    #expect(message { _ = try KeyFile.secretKey(path: folder) }.contains("not a file"))
    #expect(message { _ = try KeyFile.publicKey("nonsense") }.contains("--server-key"))
    try? FileManager.default.removeItem(atPath: folder)
  }
}

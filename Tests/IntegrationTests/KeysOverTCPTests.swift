import Foundation
import Harness
import JSON
import Testing

/// A run whose workers come over tcp with keys, by the real programs.
@Suite(.serialized) struct KeysOverTCPTests {
  private func keygen(_ scratch: Scratch, _ name: String) throws -> String {
    let result = try Program.nl.run(["keygen", "--output", scratch.path(name)])
    #expect(result.status == 0, "\(result.everything)")
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The text that no output may hold.
  private func secret(_ scratch: Scratch, _ name: String) throws -> String {
    let text = try String(contentsOfFile: scratch.path(name), encoding: .utf8)
    return try #require(text.split(separator: "\n").last?.split(separator: " ").last.map(String.init))
  }

  @Test func theSameBitsAsLocalAndStrangersStayOut() throws {
    let reference = try TrainingRun()
    try reference.train()
    let run = try TrainingRun()
    let keys = run.scratch
    for name in ["coordinator", "worker"] { _ = try keygen(keys, name) }
    let unknown = try keygen(keys, "stranger")
    try keys.write(
      "workers.txt", "# who may join\n" + String(contentsOfFile: keys.path("worker.pub"), encoding: .utf8))
    let endpoint = "tcp://127.0.0.1:\(Int.random(in: 20000..<40000))"
    let coordinator = try run.start([
      "--local-workers", "0", "--listen", endpoint, "--key", keys.path("coordinator"), "--allow-keys",
      keys.path("workers.txt"),
    ])
    func worker(_ flags: [String]) throws -> Running {
      try Program.worker.start(["--connect", endpoint, "--threads", "1"] + flags)
    }
    let server = ["--server-key", keys.path("coordinator.pub")]
    let refused = try worker(["--key", keys.path("stranger")] + server).wait(seconds: 30)
    #expect(refused.status != 0)
    #expect(refused.errors.contains(unknown) && refused.errors.contains("--allow-keys"), "\(refused.errors)")
    // Whether it hears the reason or only that the connection ends is a race; in the second case it tries again.
    let stranger = try worker([])
    #expect(waitUntil(seconds: 30) { stranger.errors.contains("--server-key") }, "\(stranger.errors)")
    stranger.terminate()
    let bare = try stranger.wait()
    let honest = try worker(["--key", keys.path("worker")] + server)
    let result = try coordinator.wait()
    #expect(result.status == 0, "\(result.everything)")
    let work = try honest.wait(seconds: 20)
    #expect(work.status == 0, "\(work.everything)")
    #expect(result.errors.contains("the public key \(unknown) from 127.0.0.1"), "\(result.errors)")
    #expect(try run.adapterHash() == reference.adapterHash())
    let everything = [result, refused, bare, work].map(\.everything).joined()
    for name in ["coordinator", "worker", "stranger"] {
      #expect(try !everything.contains(secret(keys, name)))
    }
  }

  @Test func halfOfTheKeysIsRefused() throws {
    let run = try TrainingRun()
    _ = try keygen(run.scratch, "key")
    let key = run.scratch.path("key")
    let again = try Program.nl.run(["keygen", "--output", key])
    #expect(again.status != 0 && again.errors.contains("exists already"))
    let listen = ["--listen", "tcp://127.0.0.1:5555"]
    for (flags, words) in [
      (listen + ["--key", key], "--allow-keys"), (listen + ["--allow-keys", key], "--key"),
      (["--key", key, "--allow-keys", key], "--listen"),
      (listen + ["--key", key, "--allow-keys", key], "not a public key"),
      (listen + ["--key", key + ".pub", "--allow-keys", key + ".pub"], "chmod 600"),
    ] {
      let result = try run.start(flags).wait(seconds: 60)
      #expect(result.status != 0 && result.errors.contains(words), "\(result.everything)")
    }
    #expect(!FileManager.default.fileExists(atPath: run.scratch.path("runs")))
    let worker = try Program.worker.run(["--connect", "tcp://127.0.0.1:5555", "--key", key])
    #expect(worker.status != 0 && worker.errors.contains("--server-key"))
  }
}

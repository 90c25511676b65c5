import Foundation
import Harness
import JSON
import Testing

/// A run whose workers come over tcp with keys, by the real programs.
@Suite(.serialized) struct KeysOverTCPTests {
  private func keygen(_ scratch: Scratch, _ name: String) throws -> String {
    let result = try Program.tool.run(["keygen", "--output", scratch.path(name)])
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
    let endpoint = "tcp://127.0.0.1:\(freePort())"
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

  /// The list is read while the run goes on: who is added can join, who is taken out is sent away, and a list that
  /// cannot be read changes nothing. `nl-coord status` is let in as a worker is. The run's bits stay the same.
  @Test func theListChanges() throws {
    let changes: [String: JSONValue] = ["num_steps": 40]
    let reference = try TrainingRun(changes)
    try reference.train()
    let run = try TrainingRun(changes)
    let keys = run.scratch
    let (first, second) = (try keygen(keys, "first"), try keygen(keys, "second"))
    _ = try keygen(keys, "coordinator")
    let list = try keys.write("list", first + "\n")
    let endpoint = "tcp://127.0.0.1:\(freePort())"
    let coordinator = try run.start([
      "--local-workers", "0", "--listen", endpoint, "--key", keys.path("coordinator"), "--allow-keys", list,
    ])
    defer { coordinator.terminate() }
    let server = ["--server-key", keys.path("coordinator.pub")]
    func worker(_ name: String) throws -> Running {
      try Program.worker.start(
        ["--connect", endpoint, "--threads", "1", "--key", keys.path(name)] + server,
        environment: ["NL_FAILPOINTS": "compute.delay=0.1"])
    }
    func expectSoon(_ words: String, _ running: Running, line: Int = #line) {
      let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1)
      #expect(
        waitUntil(seconds: 30) { running.errors.contains(words) }, "\(running.errors)", sourceLocation: place)
    }
    let old = try worker("first")
    expectSoon("process \(old.id), 1 thread) is ready", coordinator)
    func status(_ flags: [String]) throws -> Program.Result {
      try Program.coord.run(["status", endpoint] + flags)
    }
    let shown = try status(["--key", keys.path("first")] + server).expectSuccess()
    #expect(shown.output.contains("process \(old.id)"), "\(shown.output)")
    let stranger = try status(["--key", keys.path("second")] + server)
    #expect(stranger.status != 0 && stranger.errors.contains("--allow-keys"), "\(stranger.everything)")
    let bare = try status([])
    #expect(bare.status != 0 && bare.errors.contains("--server-key"), "\(bare.everything)")

    try keys.write("list", first + "\n" + second + "\n")
    expectSoon("2 keys may join", coordinator)
    let new = try worker("second")
    expectSoon("process \(new.id), 1 thread) is ready", coordinator)
    try keys.write("list", "broken\n")
    expectSoon("the old list holds", coordinator)
    try status(["--key", keys.path("first")] + server).expectSuccess()
    try keys.write("list", second + "\n")
    let gone = try old.wait(seconds: 30)
    #expect(gone.status != 0 && gone.errors.contains("--allow-keys"), "\(gone.everything)")
    #expect(coordinator.errors.contains("\(first) is no longer allowed"), "\(coordinator.errors)")
    #expect(run.step < 40)
    try coordinator.wait().expectSuccess()
    try new.wait(seconds: 20).expectSuccess()
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
  }

  /// A worker takes no orders from another machine without keys, unless that is asked for.
  @Test(arguments: ["10.77.0.1:5555", "example.org:5555", "[fe80::1]:5555", "127.0.0.1.example.org:5555"])
  func anotherMachineWithoutKeys(address: String) throws {
    let result = try Program.worker.run(["--connect", "tcp://" + address], seconds: 30)
    #expect(result.status != 0)
    for words in [address, "--key", "--server-key", "--insecure"] {
      #expect(result.errors.contains(words), "\(result.errors)")
    }
  }

  @Test func insecureIsForThoseWithoutKeys() throws {
    // Nobody is there: what counts is that it tries.
    let worker = try Program.worker.start(["--connect", "tcp://192.0.2.1:5555", "--insecure"])
    defer { worker.terminate() }
    #expect(
      waitUntil(seconds: 20) { worker.errors.contains("looking for a coordinator") }, "\(worker.errors)")
    let both = try Program.worker.run([
      "--connect", "tcp://192.0.2.1:5555", "--insecure", "--key", "k", "--server-key", "s",
    ])
    #expect(both.status != 0 && both.errors.contains("--insecure means without keys"))
  }

  @Test func halfOfTheKeysIsRefused() throws {
    let run = try TrainingRun()
    _ = try keygen(run.scratch, "key")
    let key = run.scratch.path("key")
    let again = try Program.tool.run(["keygen", "--output", key])
    #expect(again.status != 0 && again.errors.contains("exists already"))
    let listen = ["--listen", "tcp://127.0.0.1:5555"]
    for (flags, words) in [
      (listen + ["--key", key], "--allow-keys"), (listen + ["--allow-keys", key], "--key"),
      (["--key", key, "--allow-keys", key], "--listen"),
      (listen + ["--key", key, "--allow-keys", key], "not a public key"),
      (listen + ["--key", key + ".pub", "--allow-keys", key + ".pub"], "give the secret one"),
    ] {
      let result = try run.start(flags).wait(seconds: 60)
      #expect(result.status != 0 && result.errors.contains(words), "\(result.everything)")
    }
    #expect(!FileManager.default.fileExists(atPath: run.scratch.path("runs")))
    let worker = try Program.worker.run(["--connect", "tcp://127.0.0.1:5555", "--key", key])
    #expect(worker.status != 0 && worker.errors.contains("--server-key"))
  }
}

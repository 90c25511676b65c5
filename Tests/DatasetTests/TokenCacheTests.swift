import Files
import Foundation
import Harness
import NestedLearning
import Testing

@testable import Dataset

@Suite struct TokenCacheTests {
  private func cache(_ scratch: Scratch, _ encoding: [String] = ["tokenizer"]) throws -> TokenCache {
    try #require(
      TokenCache(environment: [TokenCache.variable: scratch.path("cache")], encoding: encoding))
  }

  private func read(
    _ file: String, _ cache: TokenCache?, maxLength: Int = 20, trainOn: TrainOn = .completions
  ) throws -> TokenRows {
    try TokenRows(
      file: file, encoder: RowEncoder(encoder: ByteEncoder(), template: nil, trainOn: trainOn),
      options: RowOptions(maxLength: maxLength, skipUnusable: true), cache: cache)
  }

  /// More rows than one group, of several kinds, some cut, some skipped, some there twice.
  private func data(_ scratch: Scratch, salt: String = "") throws -> String {
    let lines = (0..<9000).map { number in
      number % 7 == 0
        ? (number % 5 == 0 ? #"{"text": "again"}"# : #"{"text": ""}"#)
        : number % 3 == 0
          ? #"{"prompt": "p\#(number)", "completion": "\#(salt)c"}"#
          : "{\"text\": \"\(salt)\(String(repeating: "x", count: number % 31))\(number / 2)\"}"
    }
    return try scratch.write("data\(salt).jsonl", lines.joined(separator: "\n") + "\n")
  }

  /// The reference is the same file read into memory.
  @Test func whatIsKeptIsWhatWasRead() throws {
    let scratch = try Scratch()
    let file = try data(scratch)
    let plain = try read(file, nil)
    let first = try read(file, try cache(scratch))
    let second = try read(file, try cache(scratch))
    #expect(!first.wasCached && second.wasCached && plain.cache == nil)
    for rows in [first, second] {
      #expect(rows.report == plain.report)
      #expect(rows.rows.map(\.marked) == plain.rows.map(\.marked))
      #expect(plain.rows.indices.allSatisfy { rows.rows.line(of: $0) == plain.rows.line(of: $0) })
    }
    #expect(
      plain.report.skippedCount > 500 && plain.report.long.rows > 0 && plain.report.duplicates.count > 0)
    #expect(try FileSystem.names(in: scratch.path("cache")).count == 1)
    // Under another name the same bytes are the same rows.
    let copy = scratch.path("copy.jsonl")
    try FileManager.default.copyItem(atPath: file, toPath: copy)
    let moved = try read(copy, try cache(scratch))
    #expect(moved.wasCached && moved.file == copy)
  }

  @Test func whateverDecidesRowsDecidesTheCache() throws {
    let scratch = try Scratch()
    let file = try data(scratch)
    _ = try read(file, try cache(scratch))
    #expect(try !read(file, try cache(scratch), maxLength: 21).wasCached)
    #expect(try !read(file, try cache(scratch), trainOn: .all).wasCached)
    #expect(try !read(file, try cache(scratch, ["another"])).wasCached)
    #expect(try !read(try data(scratch, salt: "s"), try cache(scratch)).wasCached)
    #expect(try FileSystem.names(in: scratch.path("cache")).count == 5)
    #expect(try read(file, try cache(scratch)).wasCached)
  }

  /// A flipped bit anywhere, and a file that is cut off, are found; the rows are made anew.
  @Test func damageIsFound() throws {
    let scratch = try Scratch()
    let file = try data(scratch)
    let expected = try read(file, try cache(scratch))
    let path = try #require(expected.cache)
    let bytes = try AtomicFile.read(path)
    let places =
      (0..<15).map { bytes.count * $0 / 15 } + [bytes.count - 1, bytes.count - 70, bytes.count - 96]
    for place in places {
      var damaged = bytes
      damaged[place] ^= 1 << UInt8(place % 8)
      try AtomicFile.write(damaged, to: path)
      #expect(TokenCacheFile.open(path) == nil, "byte \(place) of \(bytes.count)")
    }
    for count in [0, 1, 95, 96, bytes.count - 1, bytes.count / 2] {
      try AtomicFile.write(Array(bytes.prefix(count)), to: path)
      #expect(TokenCacheFile.open(path) == nil, "\(count) bytes")
    }
    let again = try read(file, try cache(scratch))
    #expect(!again.wasCached && again.rows.map(\.marked) == expected.rows.map(\.marked))
    #expect(try AtomicFile.read(path) == bytes)
  }

  /// A row that stops the reading leaves nothing; what a process that is gone has left, goes.
  @Test func nothingIsLeftHalfWritten() throws {
    let scratch = try Scratch()
    let file = try scratch.write("data.jsonl", "{\"text\": \"ab\"}\n{\"text\": 7}\n")
    try FileManager.default.createDirectory(atPath: scratch.path("cache"), withIntermediateDirectories: true)
    for name in ["cache/.tmp-999999999-x.rows", "cache/.tmp-999999999-y.rows"] {
      try scratch.write(name, "half")
    }
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -700)],
      ofItemAtPath: scratch.path("cache/.tmp-999999999-x.rows"))
    #expect(throws: DataError.self) { try read(file, try cache(scratch)) }
    // Somebody elsewhere may still be writing the other.
    #expect(try FileSystem.names(in: scratch.path("cache")) == [".tmp-999999999-y.rows"])
  }

  /// A folder that was asked for must be there; the user's own need not be.
  @Test func withoutAFolderRowsAreInMemory() throws {
    let scratch = try Scratch()
    let long = String(repeating: "x", count: 5 << 20)
    let file = try scratch.write("data.jsonl", "{\"text\": \"\(long)\"}\n")
    try scratch.write("home", "a file")
    let own = TokenCache(environment: ["HOME": scratch.path("home")], encoding: [])
    let rows = try read(file, own)
    #expect(rows.cache == nil && rows.rows.count == 1)
    #expect(rows.notKept?.contains("token rows cannot be kept there") == true)
    let chosen = TokenCache(environment: [TokenCache.variable: scratch.path("home/x")], encoding: [])
    #expect(throws: DataError.self) { try read(file, chosen) }
  }

  /// What was not used for 90 days goes, then the least recently used until the limit is kept; what was used within the hour
  /// stays, and so does what is no file of rows.
  @Test func whatIsKeptHasALimit() throws {
    let scratch = try Scratch()
    let file = try data(scratch)
    let paths = try [20, 21, 22, 23].map { try #require(try read(file, cache(scratch), maxLength: $0).cache) }
    let other = try scratch.write("cache/something else", "x")
    func age(_ path: String, _ hours: Double) throws {
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: -hours * 3600)], ofItemAtPath: path)
    }
    try age(paths[0], 91 * 24)
    try age(paths[1], 3)
    try age(paths[2], 2)
    try age(other, 1000 * 24)
    let kept = CachedRows(folder: scratch.path("cache"))
    #expect(try kept.list().map(\.path) == [paths[3], paths[2], paths[1], paths[0]])
    let whole = try #require(try kept.list().first)
    #expect(try whole.rows == read(file, cache(scratch), maxLength: 23).rows.count)
    kept.evict(limit: nil)
    #expect(try kept.list().map(\.path) == [paths[3], paths[2], paths[1]])
    kept.evict(limit: whole.bytes * 5 / 2)
    #expect(try kept.list().map(\.path) == [paths[3], paths[2]])
    // One that is opened is used.
    _ = try read(file, cache(scratch), maxLength: 22)
    kept.evict(limit: 1)
    #expect(try Set(kept.list().map(\.path)) == [paths[3], paths[2]])
    #expect(FileSystem.kind(other) == .file)

    try age(paths[2], 2)
    let tight = TokenCache(
      environment: [TokenCache.variable: scratch.path("cache"), TokenCache.limitVariable: "1KB"], encoding: []
    )
    let made = try read(file, tight)
    #expect(try Set(kept.list().map(\.path)) == [paths[3], #require(made.cache)])
    let wrong = TokenCache(
      environment: [TokenCache.variable: scratch.path("cache"), TokenCache.limitVariable: "much"],
      encoding: ["x"])
    let error = #expect(throws: DataError.self) { try read(file, wrong) }
    #expect(error?.reason == "NL_TOKEN_CACHE_LIMIT is much, which is no number of bytes")
    try kept.remove(#require(try kept.list().first))
    #expect(try kept.list().count == 1)
  }

  @Test func whereItIs() {
    func folder(_ environment: [String: String]) -> String? {
      TokenCache(environment: environment, encoding: [])?.folder
    }
    #expect(folder(["HOME": "/h"]) == "/h/.cache/nested-learning/tokens")
    #expect(folder(["HOME": "/h", "XDG_CACHE_HOME": "/x"]) == "/x/nested-learning/tokens")
    #expect(folder(["HOME": "/h", "NL_TOKEN_CACHE": "/t"]) == "/t")
    #expect(folder(["HOME": "/h", "NL_TOKEN_CACHE": "off"]) == nil)
    #expect(folder([:]) == nil)
  }
}

@Suite struct DataFilesTests {
  private func folder(_ names: [String]) throws -> Scratch {
    let scratch = try Scratch()
    for name in names { try scratch.write(name, "{\"text\": \"ab\"}\n{\"text\": \"cd\"}\n") }
    return scratch
  }

  @Test func foldersStandForTheirFiles() throws {
    let scratch = try folder([
      "train-1.jsonl", "train.csv", "training.jsonl", "train.txt", "TRAIN_2.json", "valid.jsonl",
      "dev-a.jsonl", "val.txt",
      "test.jsonl", "README.md",
    ])
    func names(_ paths: [String]) -> [String] { paths.map(FileSystem.name(of:)) }
    let path = scratch.path("")
    #expect(try names(DataFiles.files(path, .train)) == ["TRAIN_2.json", "train-1.jsonl", "train.csv"])
    #expect(try names(DataFiles.files(path, .valid)) == ["dev-a.jsonl", "valid.jsonl"])
    #expect(try names(DataFiles.files(path, .test)) == ["test.jsonl"])
    #expect(try DataFiles.files(path + "README.md", .train) == [path + "README.md"])
    let empty = try folder(["x.jsonl"])
    let error = #expect(throws: DataError.self) { try DataFiles.files(empty.path(""), .valid) }
    #expect(error?.reason == "is a folder without a file named valid or validation or val or dev")
  }

  /// The folder's valid files are the validation data, unless the config names others; files without any keep their last
  /// rows each.
  @Test func trainingAndValidationOfFolders() throws {
    let scratch = try folder(["train.jsonl", "valid.jsonl", "other.jsonl"])
    func files(_ change: (inout NestedLearningConfig) -> Void) throws -> DataFiles {
      try DataFiles(config: config(change))
    }
    let whole = try files { $0.trainDataPath = scratch.path("") }
    #expect(whole.train.map(\.path) == [scratch.path("") + "/train.jsonl"])
    #expect(whole.validation == [scratch.path("") + "/valid.jsonl"])
    let named = try files {
      $0.trainDataPath = scratch.path("")
      $0.valDataPath = scratch.path("other.jsonl")
    }
    #expect(named.validation == [scratch.path("other.jsonl")])
    let several = try files {
      $0.trainDataPath = scratch.path("")
      $0.valDataPath = scratch.path("")
      $0.valDataFiles = [scratch.path(""), scratch.path("other.jsonl")]
    }
    #expect(several.validation == [scratch.path("") + "/valid.jsonl", scratch.path("other.jsonl")])
    let list = try TrainingData(
      config: config {
        $0.trainDataFiles = [
          WeightedPath(path: scratch.path("train.jsonl"), weight: 3),
          WeightedPath(path: scratch.path("other.jsonl")),
        ]
      }, encoder: RowEncoder(encoder: ByteEncoder(), template: nil))
    #expect(list.train.count == 2 && list.validation.count == 2)
    #expect(list.train.parts.map(\.weight) == [3, 1])
    #expect(list.reports.train.map(\.file) == [scratch.path("train.jsonl"), scratch.path("other.jsonl")])
  }
}

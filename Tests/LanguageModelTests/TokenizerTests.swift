import Foundation
import Harness
import JSON
import Testing

@testable import LanguageModel

/// The reference is the PyPI package tokenizers 0.23; Fixtures/tokenizers/make_tokenizers.py writes what it gives.
@Suite struct TokenizerTests {
  static let names = ["qwen2", "llama3", "smollm"]

  private func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(modelFolder: fixture("tokenizers/" + name))
  }

  private func expected(_ name: String) throws -> JSONValue {
    try #require(try readFixture("tokenizers/expected.json")[name])
  }

  @Test func theRandomStringsAreThoseOfTheScript() throws {
    let strings = try TokenizerStrings()
    let all = (0..<10000).map(strings.random).joined(separator: "\n")
    #expect(TokenizerStrings.digest(all) == strings.randomDigest)
  }

  /// The scalars that the step Punctuation of tokenizers 0.23.3 isolates: `Punctuation("isolated").pre_tokenize_str("a" + c +
  /// "a")` of every scalar c has three parts for 726 of them.
  @Test func punctuationIsThatOfTheReference() {
    let found = (0..<UInt32(0x110000)).compactMap(Unicode.Scalar.init).filter(ReferenceUnicode.isPunctuation)
    #expect(found.count == 726)
    #expect(TokenizerStrings.digest(found.map { Int32($0.value) }) == "e4f02a")
  }

  @Test(arguments: names) func nastyStrings(name: String) throws {
    let tokenizer = try tokenizer(name)
    let expected = try expected(name)
    let lines = try #require(expected["nasty"]?.array)
    let decoded = try #require(expected["nasty_decoded"]?.array)
    let nasty = try TokenizerStrings().nasty
    try #require(nasty.count == lines.count)
    for (i, text) in nasty.enumerated() {
      let ids = try tokenizer.encode(text, addSpecialTokens: true)
      #expect(ids.map(String.init).joined(separator: " ") == lines[i].string, "\(text.debugDescription)")
      let back = tokenizer.decode(ids, skipSpecialTokens: true)
      #expect(TokenizerStrings.digest(back) == decoded[i].string, "\(text.debugDescription)")
    }
  }

  /// All 10,000 strings, and the decoding of arbitrary ids, some of which are not there.
  @Test(arguments: names) func randomStrings(name: String) throws {
    let tokenizer = try tokenizer(name)
    let strings = try TokenizerStrings()
    let expected = try expected(name)
    let digests = try TokenizerStrings.digests(expected["random"])
    try #require(digests.count == 10000)
    for i in 0..<10000 {
      let text = strings.random(i)
      let ids = try tokenizer.encode(text, addSpecialTokens: false)
      #expect(TokenizerStrings.digest(ids) == digests[i], "string \(i): \(text.debugDescription)")
    }
    for (n, digest) in try TokenizerStrings.digests(expected["decoded"]).enumerated() {
      let ids = (n..<(n + n % 9)).map { Int32($0 * 7 % 1300) }
      let text = tokenizer.decode(ids, skipSpecialTokens: false)
      #expect(TokenizerStrings.digest(text) == digest, "\(ids)")
    }
  }

  /// Whether a block of scalars is compared: where no version of Unicode has characters (planes 4 to 13) and where
  /// all are for private use, every 16th will do, unless NL_ALL_SCALARS is set.
  private func isCompared(_ block: Int, of size: Int) -> Bool {
    let first = block * size
    let isEmpty = (0x40000..<0xE0000).contains(first) || first >= 0xE1000
    return !isEmpty || block % 16 == 15 || ProcessInfo.processInfo.environment["NL_ALL_SCALARS"] != nil
  }

  /// Every scalar of Unicode, so that the classes of patterns, digits and words are the reference's whatever
  /// version of Unicode the libraries here carry.
  @Test(arguments: names) func everyScalar(name: String) throws {
    let tokenizer = try tokenizer(name)
    let digests = try TokenizerStrings.digests(try expected(name)["scalars"])
    try #require(digests.count == 0x110000 / 1024)
    for (block, digest) in digests.enumerated() where isCompared(block, of: 1024) {
      let ids = try tokenizer.encode(TokenizerStrings.scalarText(block, 1024), addSpecialTokens: false)
      #expect(TokenizerStrings.digest(ids) == digest, "scalars from U+\(String(block * 1024, radix: 16))")
    }
  }

  /// Every scalar of Unicode among combining marks, in all four normal forms.
  @Test(arguments: ["NFC", "NFD", "NFKC", "NFKD"]) func everyScalarIsNormalized(form: String) throws {
    let normalizer = UnicodeNormalizer(forms: [try #require(UnicodeNormalizer.Form(rawValue: form))])
    let digests = try TokenizerStrings.digests(try readFixture("tokenizers/normal_forms.json")[form])
    try #require(digests.count == 0x110000 / 4096)
    for (block, digest) in digests.enumerated() where isCompared(block, of: 4096) {
      let text = normalizer.normalize(Array(TokenizerStrings.combiningText(block, 4096).utf8))
      #expect(TokenizerStrings.digest(text) == digest, "scalars from U+\(String(block * 4096, radix: 16))")
    }
  }

  /// Other patterns in use, every behaviour of Split, digits, prefixes and normalizers.
  @Test func variants() throws {
    let strings = try TokenizerStrings()
    let texts = strings.nasty + (0..<2000).map(strings.random)
    let base = try #require(try readFixture("tokenizers/qwen2/tokenizer.json").object)
    for variant in try #require(try readFixture("tokenizers/variants.json").array) {
      let name = try #require(variant["name"]?.string)
      var changed = base
      changed[try #require(variant["key"]?.string)] = variant["value"]
      let folder = try TemporaryFolder()
      try folder.write("tokenizer.json", JSONValue.object(changed).bytes())
      let tokenizer = try Tokenizer(modelFolder: folder.path)
      let digests = try TokenizerStrings.digests(variant["digests"])
      var all: [Int32] = []
      for (i, text) in texts.enumerated() {
        let ids = try tokenizer.encode(text, addSpecialTokens: true)
        if i < digests.count {
          #expect(TokenizerStrings.digest(ids) == digests[i], "\(name): \(text.debugDescription)")
        }
        all += ids
      }
      #expect(TokenizerStrings.digest(all) == variant["random"]?.string, "\(name)")
    }
  }

  /// Without the shortcut for short pieces the merges are the same: a piece of 48 bytes and one of 49 differ in way
  /// alone, so the ids of long ones must be the merges of the definition, done one at a time.
  @Test func longPiecesMergeAsDefined() throws {
    var random = SplitMix64(seed: 3)
    // Every pair of a small alphabet merges, in an order that makes many ties and overlaps.
    var table = ByteTable()
    var names: [[UInt8]] = (0..<4).map { [UInt8(97 + $0)] }
    var merges: [(left: Int32, right: Int32, token: Int32)] = []
    for _ in 0..<60 {
      let (left, right) = (random.next(below: names.count), random.next(below: names.count))
      let name = names[left] + names[right]
      guard name.count <= 9, !names.contains(name) else { continue }
      merges.append((Int32(left), Int32(right), Int32(names.count)))
      names.append(name)
    }
    for (id, name) in names.enumerated() { table.insert(name, Int32(id)) }
    let model = BytePairModel(tokens: table, merges: merges, ignoresMerges: false)
    for length in [1, 2, 3, 40, 48, 49, 50, 300] {
      for _ in 0..<20 {
        let piece = (0..<length).map { _ in UInt8(97 + random.next(below: 4)) }
        var symbols = piece.map { Int32($0) - 97 }
        for_merges: while true {
          for merge in merges {
            guard
              let i = symbols.indices.dropLast().first(where: {
                symbols[$0] == merge.left && symbols[$0 + 1] == merge.right
              })
            else { continue }
            symbols[i] = merge.token
            symbols.remove(at: i + 1)
            continue for_merges
          }
          break
        }
        var ids: [Int32] = []
        piece.withUnsafeBufferPointer { model.encode($0, with: BytePairWorkspace(), into: &ids) }
        #expect(ids == symbols, "\(piece)")
      }
    }
  }

  /// The rule: BOS counted, an end of text at the end dropped, the first n − 1 ids, then the end of text.
  @Test func trainingIDs() throws {
    let llama = try tokenizer("llama3")
    let bos = try #require(llama.tokenID("<|begin_of_text|>"))
    let eos = try #require(llama.tokenID("<|end_of_text|>"))
    #expect(llama.eosTokenID == eos)
    let plain = try llama.encode("the License", addSpecialTokens: false)
    #expect(try llama.trainingIDs(text: "the License", maxLength: 100) == [bos] + plain + [eos])
    #expect(
      try llama.trainingIDs(text: "the License<|end_of_text|>", maxLength: 100) == [bos] + plain + [eos])
    #expect(try llama.trainingIDs(text: "the License", maxLength: 3) == [bos, plain[0], plain[1]])
    #expect(try llama.trainingIDs(text: "the License", maxLength: plain.count + 2) == [bos] + plain + [eos])
    #expect(try llama.trainingIDs(text: "", maxLength: 5) == [bos, eos])
    #expect(try tokenizer("qwen2").trainingIDs(text: "", maxLength: 5) == [tokenizer("qwen2").eosTokenID])
    let smollm = try tokenizer("smollm")
    #expect(smollm.eosTokenID == smollm.tokenID("<|im_end|>"))
  }

  /// The rows that the training goldens were made with (Fixtures/make_training_golden.py).
  @Test(arguments: AdapterTests.names) func rowsOfTheGoldenModels(name: String) throws {
    let tokenizer = try Tokenizer(modelFolder: fixture("models/" + name))
    let rows = try readFixture("data/rows_\(name).json")
    for part in ["train", "valid"] {
      let text = try String(contentsOfFile: fixture("data/\(part).jsonl"), encoding: .utf8)
      let expected = try #require(rows[part]?.array)
      let lines = text.split(separator: "\n")
      try #require(lines.count == expected.count)
      for (line, row) in zip(lines, expected) {
        let text = try #require(try JSONValue(parsing: String(line))["text"]?.string)
        let ids = try tokenizer.trainingIDs(text: text, maxLength: 32)
        #expect(ids == row.array?.compactMap(\.int).map(Int32.init), "\(text)")
      }
    }
  }

  @Test func severalThreadsAtOnce() async throws {
    let tokenizer = try tokenizer("qwen2")
    let strings = try TokenizerStrings()
    let texts = (0..<500).map(strings.random)
    let alone = try texts.map { try tokenizer.encode($0, addSpecialTokens: false) }
    try await withThrowingTaskGroup(of: [[Int32]].self) { group in
      for _ in 0..<4 { group.addTask { try texts.map { try tokenizer.encode($0, addSpecialTokens: false) } } }
      for try await together in group { #expect(together == alone) }
    }
  }
}

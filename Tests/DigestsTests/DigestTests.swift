import Digests
import Foundation
import Testing

/// SHA-256 against FIPS 180-4's examples, and its pieces, copies and threads against the whole.
@Suite struct DigestTests {
  @Test(arguments: [
    ("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    ("a", 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
  ])
  func examples(unit: String, times: Int, sha256: String) {
    let text = String(repeating: unit, count: times)
    #expect(Digest.sha256(text) == sha256)
    #expect(Digest.isSHA256(sha256) && !Digest.isSHA256(sha256.uppercased()) && !Digest.isSHA256(text))
    var builder = DigestBuilder()
    builder.update(text)
    #expect(builder.finish() == sha256)
  }

  /// However bytes are cut, the digest is that of all of them; asking for it on the way changes nothing.
  @Test func pieces() {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 131) }
    for size in [1, 7, 55, 56, 63, 64, 65, 999] {
      var builder = DigestBuilder()
      var start = 0
      while start < bytes.count {
        let end = min(start + size, bytes.count)
        bytes[start..<end].withUnsafeBytes { builder.update($0) }
        #expect(builder.finish() == Digest.sha256(Array(bytes[..<end])))
        start = end
      }
    }
  }

  @Test func aCopyGoesOnByItself() {
    var first = DigestBuilder()
    first.update("a")
    var second = first
    second.update("bc")
    first.update("b")
    #expect(first.finish() == Digest.sha256("ab") && second.finish() == Digest.sha256("abc"))
    let third = first
    first.update("c")
    #expect(first.finish() == Digest.sha256("abc") && third.finish() == Digest.sha256("ab"))
  }

  /// Threads that begin at once share the function that is looked up.
  @Test func manyThreads() async {
    let digests = await withTaskGroup(of: String.self) { group in
      for _ in 0..<64 { group.addTask { Digest.sha256("abc") } }
      return await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(digests == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"])
  }
}

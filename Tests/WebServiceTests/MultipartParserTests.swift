import Harness
import Testing

@testable import WebService

/// Bodies as RFC 7578 has them, in whatever pieces they come.
@Suite struct MultipartParserTests {
  private static let type = #"multipart/form-data; boundary="--x--y""#
  private static let body = [
    "a preamble", "----x--y", #"Content-Disposition: form-data; name="purpose""#, "", "fine-tune",
    "----x--y  ", "Content-Type: application/json",
    #"content-disposition: form-data; name="file"; filename="a \"b\"%22; c.jsonl""#, "",
    "one\r\n----x--\r\ntwo\r\n", "----x--y--", "what follows is nobody's",
  ].joined(separator: "\r\n")

  private struct Part: Equatable {
    let name: String
    let fileName: String?
    var text = ""
  }

  private func parts(_ body: String, by size: Int) throws -> [Part] {
    var parser = try MultipartParser(contentType: Self.type)
    var parts: [Part] = []
    var (rest, open) = (Array(body.utf8)[...], false)
    while !rest.isEmpty {
      for event in try parser.take(rest.prefix(size)) {
        switch event {
        case .part(let name, let fileName):
          #expect(!open)
          parts.append(Part(name: name, fileName: fileName))
          open = true
        case .data(let bytes): parts[parts.count - 1].text += String(decoding: bytes, as: UTF8.self)
        case .partEnd: open = false
        }
      }
      rest = rest.dropFirst(size)
    }
    try parser.finish()
    return parts
  }

  @Test(arguments: [1, 2, 3, 5, 7, 11, 64, 10_000]) func itsPartsInPieces(of size: Int) throws {
    let parts = try parts(Self.body, by: size)
    #expect(
      parts == [
        Part(name: "purpose", fileName: nil, text: "fine-tune"),
        Part(name: "file", fileName: #"a "b""; c.jsonl"#, text: "one\r\n----x--\r\ntwo\r\n"),
      ])
  }

  @Test func anEmptyFileAndAnEmptyBody() throws {
    let head = #"Content-Disposition: form-data; name="file"; filename="e.txt""#
    let empty = "----x--y\r\n\(head)\r\n\r\n\r\n----x--y--"
    #expect(try parts(empty, by: 4) == [Part(name: "file", fileName: "e.txt")])
    #expect(throws: MultipartParser.Malformed.self) { try parts("", by: 1) }
  }

  @Test func whatIsNone() {
    let long = String(repeating: "x", count: 9000)
    for body in [
      "----x--y\r\n\r\nno name\r\n----x--y--", "----x--yz\r\n\r\n\r\n----x--y--",
      "----x--y\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n----x--y--",
      "----x--y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n----x--y",
      "----x--y\r\nX: \(long)", "----x--y \(long)",
      String(repeating: "----x--y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n", count: 40)
        + "----x--y--",
    ] {
      #expect(throws: MultipartParser.Malformed.self, "\(body.prefix(60))") { try parts(body, by: 100) }
    }
    for type in [
      "", "text/plain", "multipart/form-data", "multipart/mixed; boundary=a",
      "multipart/form-data; boundary=",
    ] {
      #expect(throws: MultipartParser.Malformed.self) { try MultipartParser(contentType: type) }
    }
  }

  /// Whatever bytes come, it ends, and gives out no more than it was given.
  @Test func bytesAtRandom() throws {
    var random = SplitMix64(seed: 7)
    let pieces = [
      "----x--y", "\r\n", "--", "Content-Disposition: form-data; name=a", "\r\n\r\n", "x", "\r", "-",
    ]
    for _ in 0..<2000 {
      var parser = try MultipartParser(contentType: Self.type)
      var (taken, given) = (0, 0)
      for _ in 0..<random.next() % 30 {
        let piece = Array(pieces[Int(random.next() % UInt64(pieces.count))].utf8)
        taken += piece.count
        guard let events = try? parser.take(piece) else { break }
        for case .data(let bytes) in events { given += bytes.count }
      }
      #expect(given <= taken)
    }
  }
}

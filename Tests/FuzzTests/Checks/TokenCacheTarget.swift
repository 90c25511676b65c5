import Digests

@testable import Dataset

extension FuzzTarget {
  /// A token cache as it lies on the disk; the input as it is, and the input as content under digests that fit, since
  /// nothing else gets past them. Rows of what is opened can be read.
  static let tokenCache = FuzzTarget(name: "token-cache") { input in
    for bytes in [input, sealed(input)] {
      let fault = ScratchFolder.with(bytes, named: "cache.rows") { path -> String? in
        guard let (table, _) = TokenCacheFile.open(path) else { return nil }
        for number in 0..<table.count where table.row(number).count != Int(table.entry(number).count) {
          return "row \(number) is not as long as it says"
        }
        return nil
      }
      if let fault { return fault }
    }
    return nil
  }

  /// The first two bytes are the numbers of tokens and entries; the rest, up to 4096 bytes, begins the content.
  private static func sealed(_ input: [UInt8]) -> [UInt8] {
    var reader = InputReader(input)
    let (tokens, entries) = (UInt64(reader.byte()), UInt64(reader.byte() % 16))
    let report = Array("{}".utf8)
    let entriesStart = (Int(tokens) * 4 + 7) & ~7
    let size = entriesStart + Int(entries) * MemoryLayout<TokenTable.Entry>.stride
    var content = Array(reader.remainder().prefix(size))
    content += [UInt8](repeating: 0, count: size - content.count) + report
    let digests = Array(Digest.sha256(content).utf8)
    var footer: [UInt8] = []
    for number in [TokenCacheFile.magic, tokens, entries, UInt64(report.count)] {
      withUnsafeBytes(of: number) { footer.append(contentsOf: $0) }
    }
    footer += Array(Digest.sha256(digests + footer).utf8)
    return content + digests + footer
  }
}

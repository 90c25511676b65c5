import Dataset
import Digests
import Files
import Foundation
import LanguageModel
import Tensors

/// Where texts of the base model's own are kept, named by everything that decides them.
struct SelfReplayFile {
  /// Nil if nothing is to be kept.
  private let path: String?
  private let count: Int

  /// - Parameter model: SHA-256 of the base model's folder
  init(_ plan: SelfReplay, precision: Precision, model: String) {
    var digest = DigestBuilder()
    digest.update("self-replay 1\n\(model)\n\(NumericProfile.name(of: precision))\n")
    digest.update("\(plan.seed) \(plan.maxTokens) \(plan.endTokens.sorted())\n")
    for start in plan.starts { digest.update("\(start)\n") }
    let name = digest.finish()
    let environment = ProcessInfo.processInfo.environment
    let isOff = environment[TokenCache.variable] == "off"
    path =
      isOff ? nil : TokenCache.folder(environment: environment).map { "\($0)/self-replay/\(name).ids" }
    count = plan.starts.count
  }

  /// Nil if they are not there, or damaged.
  func texts() -> [[Int32]]? {
    guard let path, FileSystem.kind(path) == .file, let bytes = try? AtomicFile.read(path) else { return nil }
    // The digest of the rest, then for each text its length and its ids.
    guard bytes.count >= 64,
      String(decoding: bytes.prefix(64), as: UTF8.self) == Self.digest(bytes.dropFirst(64))
    else { return nil }
    var numbers = stride(from: 64, to: bytes.count - 3, by: 4).map { place in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << (8 * $1) }
    }[...]
    var texts: [[Int32]] = []
    while let length = numbers.popFirst() {
      guard length <= numbers.count else { return nil }
      texts.append(numbers.prefix(Int(length)).map { Int32(bitPattern: $0) })
      numbers = numbers.dropFirst(Int(length))
    }
    return texts.count == count ? texts : nil
  }

  /// What cannot be kept is written again another time.
  func keep(_ texts: [[Int32]]) {
    guard let path else { return }
    var bytes: [UInt8] = []
    for text in texts {
      for number in [UInt32(text.count)] + text.map({ UInt32(bitPattern: $0) }) {
        for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
      }
    }
    try? FileSystem.makeFolders(FileSystem.folder(of: path))
    try? AtomicFile.write(Array(Self.digest(bytes[...]).utf8) + bytes, to: path)
  }

  private static func digest(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.withUnsafeBytes { Digest.sha256($0) }
  }
}

import Foundation
import Testing

/// A file of Vectors: a message byte by byte, with what the bytes mean. `make_vectors.py` writes them.
struct GoldenVector: CustomTestStringConvertible {
  /// The file, as in `2.0/RESULT`.
  let name: String
  let minor: UInt8
  let frames: [[UInt8]]
  /// What the rows of the header mean, as in `term: 7`.
  let meanings: [String: String]

  var testDescription: String { name }
  /// `RESULT` of `2.0/RESULT-digests`.
  var messageName: String { String(name.dropFirst(4).prefix { $0 != "-" }) }

  enum Failure: Error {
    case row(String)
    case folder(String)
  }

  static func all() throws -> [GoldenVector] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors")
    return try ["2.0"].flatMap { version in
      let files = try FileManager.default.contentsOfDirectory(
        at: folder.appending(path: version), includingPropertiesForKeys: nil)
      return try files.sorted { $0.path < $1.path }.map { try GoldenVector($0, version: version) }
    }
  }

  private init(_ file: URL, version: String) throws {
    guard let minor = version.last.flatMap({ UInt8(String($0)) }) else { throw Failure.folder(version) }
    self.minor = minor
    name = "\(version)/\(file.deletingPathExtension().lastPathComponent)"
    var frames: [[UInt8]] = []
    var meanings: [String: String] = [:]
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    where !line.hasPrefix("#") {
      let columns = line.split(separator: "|", maxSplits: 2, omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      guard columns.count == 3 else { throw Failure.row(String(line)) }
      if !columns[0].isEmpty { frames.append([]) }
      guard columns[0].isEmpty || columns[0] == "F\(frames.count - 1)", !frames.isEmpty else {
        throw Failure.row(String(line))
      }
      for word in columns[1].split(separator: " ") {
        frames[frames.count - 1] += try Self.bytes(word, line)
      }
      let meaning = columns[2].split(separator: ":", maxSplits: 1)
      if frames.count == 2, meaning.count == 2 {
        meanings[String(meaning[0])] = meaning[1].trimmingCharacters(in: .whitespaces)
      }
    }
    self.frames = frames
    self.meanings = meanings
  }

  /// `5a`, or `5a*100` for a hundred of them.
  private static func bytes(_ word: Substring, _ line: Substring) throws -> [UInt8] {
    let parts = word.split(separator: "*")
    guard parts.count <= 2, parts[0].count == 2, let byte = UInt8(parts[0], radix: 16),
      let count = parts.count == 2 ? Int(parts[1]) : 1, (1...1 << 20).contains(count)
    else { throw Failure.row(String(line)) }
    return [UInt8](repeating: byte, count: count)
  }
}

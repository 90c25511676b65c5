import Files
import LanguageModel

/// One file of a GGUF model, which may be split over several: `split.count` and `split.no` say how, and their names end in
/// `-00001-of-00003.gguf`.
struct GGUFPart {
  let path: String
  let file: MappedFile
  let metadata: GGUFMetadata
  let tensors: [GGUFTensor]

  init(path: String) throws(ModelError) {
    do throws(FileError) { file = try MappedFile(path: path) } catch {
      throw ModelError(file: path, "cannot be read: \(error.reason)")
    }
    self.path = path
    let header = try GGUFHeader(file: file)
    metadata = GGUFMetadata(path: path, entries: header.metadata, file: file)
    tensors = header.tensors
  }

  private static let mostParts = 10_000

  /// All parts of the model that this is one of, in order; itself alone if it was not split.
  func siblings() throws(ModelError) -> [GGUFPart] {
    let count = try metadata.count("split.count") ?? 1
    guard count > 1 else { return [self] }
    guard count < Self.mostParts else {
      throw metadata.fault("split.count", "is \(count), which no model has")
    }
    let own = try metadata.count("split.no") ?? 0
    let ending = Self.ending(own, count)
    guard path.hasSuffix(ending) else {
      throw metadata.fault(
        "split.count",
        "says that this is one of \(count) parts, but its name does not end in \(ending), so that the "
          + "others cannot be found")
    }
    var parts: [GGUFPart] = []
    for number in 0..<count {
      if number == own {
        parts.append(self)
        continue
      }
      let part = try GGUFPart(path: String(path.dropLast(ending.count)) + Self.ending(number, count))
      guard try part.metadata.count("split.no") == number, try part.metadata.count("split.count") == count
      else {
        throw part.metadata.fault("split.no", "is not \(number) of \(count), as its name says")
      }
      parts.append(part)
    }
    return parts
  }

  /// `-00001-of-00003.gguf` for number 0
  private static func ending(_ number: Int, _ count: Int) -> String {
    func padded(_ number: Int) -> String {
      String(repeating: "0", count: max(0, 5 - String(number).count)) + String(number)
    }
    return "-\(padded(number + 1))-of-\(padded(count)).gguf"
  }
}

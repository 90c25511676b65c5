/// Makes PCRE2's character classes those of the reference.
///
/// The version of Unicode that a PCRE2 library carries depends on the machine, and its `\s` has one character more
/// than Oniguruma's. A pattern is asked only where it matches, not what; so each scalar that the two put into
/// different classes is replaced, for the search alone, by one of the same length in UTF-8 that both put where the
/// reference has it.
struct PatternPlaceholders: Sendable {
  /// One bit for each scalar that has a stand-in.
  private let replaced: [UInt64]
  private let standIns: [UInt32: UInt32]

  /// For the PCRE2 library in use.
  static let shared = PatternPlaceholders()

  /// The text to search: `text` itself, or a copy with the stand-ins in place.
  func apply(to text: [UInt8]) -> [UInt8] {
    guard !standIns.isEmpty, let first = text.firstIndex(where: { $0 >= 0x80 }) else { return text }
    var result = text
    result.withUnsafeMutableBufferPointer { bytes in
      var place = first
      while place < bytes.count {
        let byte = bytes[place]
        if byte < 0x80 {
          place += 1
          continue
        }
        let length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
        guard place + length <= bytes.count else { return }
        var value = UInt32(byte) & (0x7F >> UInt32(length))
        for i in 1..<length { value = value << 6 | UInt32(bytes[place + i]) & 0x3F }
        if value < 0x110000, replaced[Int(value >> 6)] & (1 << UInt64(value & 63)) != 0,
          let standIn = standIns[value]
        {
          for (i, unit) in Self.utf8(standIn).enumerated() where i < length { bytes[place + i] = unit }
        }
        place += length
      }
    }
    return result
  }

  private static func utf8(_ value: UInt32) -> [UInt8] {
    Unicode.Scalar(value).map { Array(String($0).utf8) } ?? []
  }

  /// What a class can see of a scalar.
  private struct Kind: Hashable {
    let category: Int
    let isSpace: Bool
    let length: Int
  }

  private init() {
    var replaced = [UInt64](repeating: 0, count: 0x110000 / 64)
    var standIns: [UInt32: UInt32] = [:]
    var examples: [Kind: UInt32] = [:]
    var different: [(UInt32, Kind)] = []
    if let found = PatternCategories() {
      for value in PatternCategories.scanned {
        guard let scalar = Unicode.Scalar(value) else { continue }
        let length = UTF8.width(scalar)
        let category = PatternCategories.number(of: ReferenceUnicode.patternCategory(scalar))
        let kind = Kind(category: category, isSpace: scalar.properties.isWhitespace, length: length)
        if found.category(value) != category || found.isSpace(value) != kind.isSpace {
          different.append((value, kind))
        } else if examples[kind] == nil {
          examples[kind] = value
        }
      }
    }
    for (value, kind) in different {
      guard let example = examples[kind] else { continue }
      replaced[Int(value >> 6)] |= 1 << UInt64(value & 63)
      standIns[value] = example
    }
    self.replaced = replaced
    self.standIns = standIns
  }
}

/// The general category of every scalar as PCRE2 has it.
private struct PatternCategories {
  /// The scalars beyond ASCII that any version of Unicode has given, or is about to give, a category of its own.
  static let scanned: [UInt32] = Array(0x80..<0x40000) + Array(0xE0000..<0xE1000)

  /// In an order that tries the most common first.
  private static let names: [(String, Unicode.GeneralCategory)] = [
    ("Cn", .unassigned), ("Lo", .otherLetter), ("So", .otherSymbol), ("Lu", .uppercaseLetter),
    ("Ll", .lowercaseLetter), ("Mn", .nonspacingMark), ("Mc", .spacingMark), ("Nd", .decimalNumber),
    ("No", .otherNumber), ("Po", .otherPunctuation), ("Lm", .modifierLetter), ("Co", .privateUse),
    ("Sm", .mathSymbol), ("Sk", .modifierSymbol), ("Sc", .currencySymbol), ("Nl", .letterNumber),
    ("Cf", .format),
    ("Ps", .openPunctuation), ("Pe", .closePunctuation), ("Pd", .dashPunctuation),
    ("Pc", .connectorPunctuation),
    ("Pi", .initialPunctuation), ("Pf", .finalPunctuation), ("Lt", .titlecaseLetter), ("Zs", .spaceSeparator),
    ("Me", .enclosingMark), ("Zl", .lineSeparator), ("Zp", .paragraphSeparator), ("Cc", .control),
  ]

  private static let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1.1, $0) })

  static func number(of category: Unicode.GeneralCategory) -> Int { numbers[category] ?? 0 }

  private var categories = [UInt8](repeating: 0xFF, count: 0x110000)
  private var spaces = Set<UInt32>()

  func category(_ value: UInt32) -> Int { Int(categories[Int(value)]) }
  func isSpace(_ value: UInt32) -> Bool { spaces.contains(value) }

  /// nil if the library cannot do Unicode, which the patterns themselves will say.
  init?() {
    var text: [UInt8] = []
    var values: [UInt32] = []
    var starts: [Int] = []
    for value in Self.scanned {
      guard let scalar = Unicode.Scalar(value) else { continue }
      values.append(value)
      starts.append(text.count)
      text.append(contentsOf: UTF8.encode(scalar) ?? .init(repeating: 0x3F, count: 1))
    }
    starts.append(text.count)
    let groups = Self.names.map { "(?<\($0.0)>\\p{\($0.0)}+)" }.joined(separator: "|")
    guard let pattern = try? SplitPattern(pcre2: groups), let space = try? SplitPattern(pcre2: "\\s") else {
      return nil
    }
    let scratch = SplitScratch(groups: Self.names.count)
    var index = 0
    var categories = categories
    var spaces = spaces
    func scan(_ pattern: SplitPattern, _ body: (UInt32) -> Void) -> Bool {
      index = 0
      return text.withUnsafeBufferPointer { text in
        (try? pattern.forEachMatch(in: text, with: scratch) { match in
          while starts[index] < match.lowerBound { index += 1 }
          while starts[index] < match.upperBound {
            body(values[index])
            index += 1
          }
        }) != nil
      }
    }
    guard scan(pattern, { categories[Int($0)] = UInt8(scratch.lastGroup - 1) }),
      scan(space, { spaces.insert($0) })
    else { return nil }
    self.categories = categories
    self.spaces = spaces
  }
}

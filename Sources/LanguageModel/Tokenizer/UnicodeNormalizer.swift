import Foundation

/// The normal forms of Unicode, as the crate `tokenizers` computes them.
///
/// Foundation takes scalars apart; ordering the parts and putting them together is done here, since the Swift library
/// (6.3) leaves the parts of some Tibetan vowels unordered, joins scalars beyond U+FFFF as if only their lower 16 bits
/// counted, and leaves a Hangul syllable and its final consonant apart.
struct UnicodeNormalizer: Sendable, Equatable {
  enum Form: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"
  }

  /// The forms to bring a text into, one after the other.
  var forms: [Form]

  func normalize(_ text: ArraySlice<UInt8>) -> [UInt8] {
    forms.reduce(Array(text)) { Self.normalize($0, $1) }
  }

  func normalize(_ text: [UInt8]) -> [UInt8] {
    forms.reduce(text) { Self.normalize($0, $1) }
  }

  /// The first byte of the first scalar that can change, or change what stands before it: U+0300 (NFC), U+00C0
  /// (NFD), U+00A0 (the others).
  private static func firstLead(_ form: Form) -> UInt8 {
    switch form {
    case .nfc: 0xCC
    case .nfd: 0xC3
    case .nfkc, .nfkd: 0xC2
    }
  }

  /// An ASCII character stays as it is and never joins what stands before it, so the text falls into stretches of
  /// one such character and what follows beyond ASCII.
  private static func normalize(_ text: [UInt8], _ form: Form) -> [UInt8] {
    let lead = firstLead(form)
    guard text.contains(where: { $0 >= lead }) else { return text }
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var start = 0
    while let beyond = text[start...].firstIndex(where: { $0 >= 0x80 }) {
      let end = text[beyond...].firstIndex { $0 < 0x80 } ?? text.count
      let stretch = max(start, beyond - 1)
      result.append(contentsOf: text[start..<stretch])
      if text[beyond..<end].contains(where: { $0 >= lead }) {
        normalize(stretch: text[stretch..<end], form, into: &result)
      } else {
        result.append(contentsOf: text[stretch..<end])
      }
      start = end
    }
    result.append(contentsOf: text[start...])
    return result
  }

  private static func normalize(stretch text: ArraySlice<UInt8>, _ form: Form, into result: inout [UInt8]) {
    var start = text.startIndex
    var place = start
    while place < text.endIndex, let (scalar, length) = UTF8Scan.scalar(at: place - text.startIndex, in: text)
    {
      // The crate knows Unicode 9. What is younger stands there for itself and keeps its neighbours apart.
      if scalar.value >= 0x300, !ReferenceUnicode.isAssigned(scalar, in: 9) {
        append(text[start..<place], form, to: &result)
        result.append(contentsOf: text[place..<(place + length)])
        start = place + length
      }
      place += length
    }
    append(text[start...], form, to: &result)
  }

  private static func append(_ text: ArraySlice<UInt8>, _ form: Form, to result: inout [UInt8]) {
    if text.isEmpty { return }
    let string = String(decoding: text, as: UTF8.self)
    let apart =
      form == .nfc || form == .nfd
      ? string.decomposedStringWithCanonicalMapping : string.decomposedStringWithCompatibilityMapping
    var scalars = ClassedScalar.ordered(apart)
    if form == .nfc || form == .nfkc { Compositions.shared.compose(&scalars) }
    for each in scalars {
      if each.scalar.isASCII {
        result.append(UInt8(truncatingIfNeeded: each.scalar.value))
      } else {
        result.append(contentsOf: UTF8.encode(each.scalar) ?? UTF8.encodedReplacementCharacter)
      }
    }
  }
}

/// A scalar and its canonical combining class.
private struct ClassedScalar {
  let scalar: Unicode.Scalar
  let combiningClass: UInt8

  init(_ scalar: Unicode.Scalar) {
    self.scalar = scalar
    combiningClass = scalar.value < 0x300 ? 0 : scalar.properties.canonicalCombiningClass.rawValue
  }

  /// The scalars of a text in canonical order: runs of marks by rising class, equals as they stand.
  static func ordered(_ text: String) -> [ClassedScalar] {
    var result: [ClassedScalar] = []
    result.reserveCapacity(text.utf8.count)
    var runStart = 0
    for scalar in text.unicodeScalars {
      let classed = ClassedScalar(scalar)
      if classed.combiningClass == 0 {
        result.append(classed)
        runStart = result.count
        continue
      }
      var place = result.count
      while place > runStart, result[place - 1].combiningClass > classed.combiningClass { place -= 1 }
      result.insert(classed, at: place)
    }
    return result
  }
}

/// Which two scalars become one in NFC (The Unicode Standard, section 3.11, definitions D111 to D117).
private struct Compositions: Sendable {
  private var pairs: [UInt64: Unicode.Scalar] = [:]

  static let shared = Compositions()

  /// Where all primary composites of Unicode 9 lie, the Hangul syllables excepted.
  private static let ranges: [Range<UInt32>] = [
    0xC0..<0x1100, 0x1B00..<0x1C00, 0x1E00..<0x2000, 0x2190..<0x22F0, 0x3040..<0x3100, 0x11080..<0x11600,
  ]

  /// A scalar that comes apart and stays itself in NFC is a composite: of the last scalar of its parts, and of the
  /// composite of those before.
  private init() {
    var composites: [[UInt32]: Unicode.Scalar] = [:]
    for value in Self.ranges.joined() {
      guard let scalar = Unicode.Scalar(value), ReferenceUnicode.isAssigned(scalar, in: 9) else { continue }
      let text = String(scalar)
      let parts = text.decomposedStringWithCanonicalMapping.unicodeScalars.map(\.value)
      guard parts.count > 1, text.precomposedStringWithCanonicalMapping.utf8.elementsEqual(text.utf8) else {
        continue
      }
      composites[parts] = scalar
    }
    for (parts, composite) in composites {
      guard let last = parts.last else { continue }
      let rest = Array(parts.dropLast())
      guard let first = rest.count == 1 ? rest[0] : composites[rest]?.value else { continue }
      pairs[UInt64(first) << 32 | UInt64(last)] = composite
    }
  }

  /// Puts together scalars in canonical order.
  func compose(_ scalars: inout [ClassedScalar]) {
    var count = 0
    /// Where the last starter stands, and the combining class of the last scalar.
    var starter: Int?
    var lastClass: UInt8 = 0
    for index in scalars.indices {
      let each = scalars[index]
      if let starter, starter == count - 1 || lastClass < each.combiningClass,
        let composite = composite(scalars[starter].scalar, each.scalar)
      {
        scalars[starter] = ClassedScalar(composite)
        continue
      }
      if each.combiningClass == 0 { starter = count }
      lastClass = each.combiningClass
      scalars[count] = each
      count += 1
    }
    scalars.removeSubrange(count...)
  }

  private func composite(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    if second.value < 0x300 { return nil }
    return hangul(first.value, second.value) ?? pairs[UInt64(first.value) << 32 | UInt64(second.value)]
  }

  /// Leading consonant and vowel, or such a syllable and a final consonant (section 3.12).
  private func hangul(_ first: UInt32, _ second: UInt32) -> Unicode.Scalar? {
    if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
      return Unicode.Scalar(0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28)
    }
    if (0xAC00..<0xD7A4).contains(first), (first - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(second) {
      return Unicode.Scalar(first + second - 0x11A7)
    }
    return nil
  }
}

/// Searching, cutting and padding strings, by bytes: UTF-8 keeps code points apart.
enum TextSearch {
  enum Side { case left, right, both }

  /// Where a part begins in bytes, from a place on; nil if it does not occur. The time is linear.
  static func find(_ part: [UInt8], in text: [UInt8], from start: Int, to end: Int) -> Int? {
    guard start <= end, end <= text.count else { return nil }
    let search = Search(part)
    return search.next(in: text, from: start, to: end)
  }

  /// A search by Knuth, Morris and Pratt.
  private struct Search {
    let part: [UInt8]
    /// For each place of the part, how long a beginning of it ends before there.
    private var border: [Int] = [0]

    init(_ part: [UInt8]) {
      self.part = part
      var length = 0
      for i in part.indices.dropFirst() {
        while length > 0, part[i] != part[length] { length = border[length - 1] }
        if part[i] == part[length] { length += 1 }
        border.append(length)
      }
    }

    func next(in text: [UInt8], from start: Int, to end: Int) -> Int? {
      guard let first = part.first else { return start }
      var matched = 0
      var place = start
      while place < end {
        if matched == 0 {
          while place < end, text[place] != first { place += 1 }
          guard place < end else { return nil }
        }
        while matched > 0, text[place] != part[matched] { matched = border[matched - 1] }
        if text[place] == part[matched] { matched += 1 }
        place += 1
        if matched == part.count { return place - matched }
      }
      return nil
    }
  }

  /// Places of a part that do not overlap, from the left.
  static func places(of part: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
    let search = Search(part)
    var places: [Int] = []
    var start = 0
    while places.count < limit, let place = search.next(in: text, from: start, to: text.count) {
      places.append(place)
      start = place + part.count
    }
    return places
  }

  static func string(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  static func stripped(_ text: String, _ characters: String?, _ side: Side) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? PythonText.isSpace(scalar) }
    var rest = Substring(text).unicodeScalars
    if side != .right { while let first = rest.first, goes(first) { rest.removeFirst() } }
    if side != .left { while let last = rest.last, goes(last) { rest.removeLast() } }
    return String(rest)
  }

  static func replaced(
    _ text: String, _ old: String, _ new: String, _ count: Int, _ budget: inout Budget
  ) throws(Failure) -> String {
    let limit = count < 0 ? Int.max : count
    let bytes = Array(text.utf8)
    let replacement = Array(new.utf8)
    let places =
      old.isEmpty ? boundaries(of: bytes, limit: limit) : places(of: Array(old.utf8), in: bytes, limit: limit)
    let (added, overflow) = replacement.count.multipliedReportingOverflow(by: places.count)
    try budget.allocate(bytes: overflow ? .max : bytes.count + added)
    if places.isEmpty { return text }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + added)
    var start = 0
    for place in places {
      result += bytes[start..<place]
      result += replacement
      start = place + old.utf8.count
    }
    result += bytes[start...]
    return string(result)
  }

  /// Before each character, and at the end.
  private static func boundaries(of bytes: [UInt8], limit: Int) -> [Int] {
    var places: [Int] = []
    for (i, byte) in bytes.enumerated() where byte & 0xC0 != 0x80 {
      guard places.count < limit else { return places }
      places.append(i)
    }
    if places.count < limit { places.append(bytes.count) }
    return places
  }

  /// `str.splitlines`.
  static func lines(of text: String, keepingEnds: Bool) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var lines: [String] = []
    var start = 0
    var place = 0
    while place < scalars.count {
      guard PythonText.isLineEnd(scalars[place]) else {
        place += 1
        continue
      }
      let isPair = scalars[place] == "\r" && place + 1 < scalars.count && scalars[place + 1] == "\n"
      let end = place + (isPair ? 2 : 1)
      lines.append(PythonText.string(scalars[start..<(keepingEnds ? end : place)]))
      (start, place) = (end, end)
    }
    if start < scalars.count { lines.append(PythonText.string(scalars[start...])) }
    return lines
  }

  /// `split` and `rsplit` by a part that is not empty.
  static func split(_ text: String, by separator: String, limit: Int, fromRight: Bool) -> [String] {
    let bytes = Array(text.utf8)
    let part = Array(separator.utf8)
    let most = limit < 0 ? Int.max : limit
    let places =
      fromRight ? lastPlaces(of: part, in: bytes, limit: most) : self.places(of: part, in: bytes, limit: most)
    var pieces: [String] = []
    var start = 0
    for place in places {
      pieces.append(string(bytes[start..<place]))
      start = place + part.count
    }
    pieces.append(string(bytes[start...]))
    return pieces
  }

  /// Places of a part that do not overlap, found from the right, in ascending order.
  static func lastPlaces(of part: [UInt8], in text: [UInt8], limit: Int) -> [Int] {
    let found = places(of: part.reversed(), in: text.reversed(), limit: limit)
    return found.reversed().map { text.count - $0 - part.count }
  }

  /// `split` and `rsplit` by whitespace.
  static func words(_ text: String, limit: Int, fromRight: Bool) -> [String] {
    var scalars = Array(text.unicodeScalars)
    if fromRight { scalars.reverse() }
    let most = limit < 0 ? Int.max : limit
    var words: [ArraySlice<Unicode.Scalar>] = []
    var place = scalars.firstIndex { !PythonText.isSpace($0) } ?? scalars.count
    while place < scalars.count {
      if words.count == most {
        words.append(scalars[place...])
        break
      }
      let end = scalars[place...].firstIndex(where: PythonText.isSpace) ?? scalars.count
      words.append(scalars[place..<end])
      place = scalars[end...].firstIndex { !PythonText.isSpace($0) } ?? scalars.count
    }
    guard fromRight else { return words.map { PythonText.string($0) } }
    return words.reversed().map { PythonText.string($0.reversed()) }
  }

  /// `center`, `ljust` and `rjust`, with the text on the side that is not padded.
  static func padded(
    _ text: String, _ width: Int, _ fill: String, _ side: Side, _ budget: inout Budget
  ) throws(Failure) -> String {
    guard PythonText.count(fill) == 1 else {
      throw Failure("the fill character must be exactly one character long")
    }
    let missing = width - PythonText.count(text)
    guard missing > 0 else { return text }
    try budget.allocate(bytes: missing < Limits.text ? missing * fill.utf8.count + text.utf8.count : .max)
    let left =
      switch side {
      case .left: missing
      case .right: 0
      case .both: missing / 2 + (missing & width & 1)
      }
    return String(repeating: fill, count: left) + text + String(repeating: fill, count: missing - left)
  }
}

extension String {
  func contains(bytesOf part: String) -> Bool {
    let bytes = Array(utf8)
    return TextSearch.find(Array(part.utf8), in: bytes, from: 0, to: bytes.count) != nil
  }
}

import Foundation

/// The parts of a `multipart/form-data` body (RFC 7578), as its bytes come: only what may be the beginning of a boundary
/// is kept back.
struct MultipartParser {
  enum Event: Equatable {
    /// - Parameter fileName: nil for a field
    case part(name: String, fileName: String?)
    case data([UInt8])
    case partEnd
  }

  /// Why a body is none.
  struct Malformed: Error, CustomStringConvertible {
    let description: String
  }

  private enum State { case preamble, afterBoundary, headers, body, end }

  private static let mostHeaderBytes = 8192
  private static let mostParts = 32

  /// CR LF, two hyphens and the boundary.
  private let delimiter: [UInt8]
  private var state = State.preamble
  /// The first boundary may have no line before it.
  private var bytes: [UInt8] = [13, 10]
  private var parts = 0

  /// - Parameter contentType: of the request
  /// - Throws: `Malformed` if it is another type, or has no boundary.
  init(contentType: String) throws(Malformed) {
    let parameters = Self.parameters(contentType)
    guard parameters.value.lowercased() == "multipart/form-data", let boundary = parameters.named["boundary"],
      (1...70).contains(boundary.utf8.count)
    else {
      throw Malformed(description: "the body is not multipart/form-data with a boundary by its Content-Type")
    }
    delimiter = [13, 10, 45, 45] + boundary.utf8
  }

  /// - Throws: `Malformed` for what no such body has.
  mutating func take(_ more: some Sequence<UInt8>) throws(Malformed) -> [Event] {
    bytes += more
    var events: [Event] = []
    while try advance(&events) {}
    return events
  }

  /// - Throws: `Malformed` if the body has ended before its last boundary.
  func finish() throws(Malformed) {
    guard state == .end else { throw Malformed(description: "the body ends before its last boundary") }
  }

  /// - Returns: whether there may be more to do with the bytes that are there
  private mutating func advance(_ events: inout [Event]) throws(Malformed) -> Bool {
    switch state {
    case .preamble:
      guard passBody().isWhole else { return false }
      state = .afterBoundary
    case .body:
      let (data, isWhole) = passBody()
      if !data.isEmpty { events.append(.data(data)) }
      guard isWhole else { return false }
      events.append(.partEnd)
      state = .afterBoundary
    case .afterBoundary: return try passBoundaryEnd()
    case .headers: return try passHeaders(&events)
    case .end:
      bytes = []
      return false
    }
    return true
  }

  /// The bytes before a boundary, which is passed over; where there is none yet, as many as cannot be part of one.
  private mutating func passBody() -> (data: [UInt8], isWhole: Bool) {
    let found = Self.first(delimiter, in: bytes)
    let count = found ?? max(0, bytes.count - delimiter.count + 1)
    let data = Array(bytes[..<count])
    bytes.removeFirst(found == nil ? count : count + delimiter.count)
    return (data, found != nil)
  }

  private mutating func passBoundaryEnd() throws(Malformed) -> Bool {
    guard bytes.count >= 2 else { return false }
    if bytes.starts(with: [45, 45]) {
      state = .end
      return true
    }
    guard let end = Self.first([13, 10], in: bytes) else {
      guard bytes.count < Self.mostHeaderBytes else {
        throw Malformed(description: "a boundary's line has no end")
      }
      return false
    }
    guard bytes[..<end].allSatisfy({ $0 == 32 || $0 == 9 }) else {
      throw Malformed(description: "a boundary is followed by something else")
    }
    parts += 1
    guard parts <= Self.mostParts else {
      throw Malformed(description: "the body has more than \(Self.mostParts) parts")
    }
    // The end of this line stays, as a part may have no header.
    bytes.removeFirst(end)
    state = .headers
    return true
  }

  private mutating func passHeaders(_ events: inout [Event]) throws(Malformed) -> Bool {
    guard let end = Self.first([13, 10, 13, 10], in: bytes) else {
      guard bytes.count < Self.mostHeaderBytes else {
        throw Malformed(description: "the headers of a part have more than \(Self.mostHeaderBytes) bytes")
      }
      return false
    }
    let lines = String(decoding: bytes[..<end], as: UTF8.self).split(whereSeparator: \.isNewline)
    bytes.removeFirst(end + 4)
    for line in lines {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "content-disposition" else { continue }
      let (value, named) = Self.parameters(String(parts[1]))
      guard value.lowercased() == "form-data", let name = named["name"] else { break }
      events.append(.part(name: name, fileName: named["filename"]))
      state = .body
      return true
    }
    throw Malformed(description: "a part has no Content-Disposition: form-data with a name")
  }

  // MARK: - Text

  /// `form-data; name="a"; filename="b"` as its value and parameters.
  static func parameters(_ text: String) -> (value: String, named: [String: String]) {
    var pieces = [""]
    var (isQuoted, isEscaped) = (false, false)
    for character in text {
      if isEscaped {
        pieces[pieces.count - 1].append(character)
        isEscaped = false
      } else if isQuoted, character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        isQuoted.toggle()
      } else if character == ";", !isQuoted {
        pieces.append("")
      } else {
        pieces[pieces.count - 1].append(character)
      }
    }
    var named: [String: String] = [:]
    for piece in pieces.dropFirst() {
      let sides = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2 else { continue }
      // Browsers and clients write these three so in names.
      let value = sides[1].replacing("%22", with: "\"").replacing("%0D", with: "\r").replacing(
        "%0A", with: "\n")
      named[sides[0].trimmingCharacters(in: .whitespaces).lowercased()] = String(value)
    }
    return (pieces[0].trimmingCharacters(in: .whitespaces), named)
  }

  /// Where a pattern first is.
  private static func first(_ pattern: [UInt8], in bytes: [UInt8]) -> Int? {
    bytes.withUnsafeBytes { bytes in
      pattern.withUnsafeBytes { pattern in
        guard let start = bytes.baseAddress, let wanted = pattern.baseAddress else { return nil }
        var at = 0
        while bytes.count - at >= pattern.count {
          let rest = bytes.count - at - pattern.count + 1
          guard let found = memchr(start + at, Int32(pattern[0]), rest) else { return nil }
          at = UnsafeRawPointer(found) - start
          if memcmp(start + at, wanted, pattern.count) == 0 { return at }
          at += 1
        }
        return nil
      }
    }
  }
}

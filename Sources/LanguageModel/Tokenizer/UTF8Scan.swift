/// Reads single scalars out of bytes that are known to be UTF-8.
enum UTF8Scan {
  /// The scalar that begins at `place`, and its length in bytes; nil at the end.
  static func scalar(at place: Int, in text: some RandomAccessCollection<UInt8>) -> (
    scalar: Unicode.Scalar, length: Int
  )? {
    var iterator = text.dropFirst(place).makeIterator()
    guard place < text.count, let first = iterator.next() else { return nil }
    if first < 0x80 { return (Unicode.Scalar(first), 1) }
    let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    var value = UInt32(first) & (0x7F >> UInt32(length))
    for _ in 1..<length { value = value << 6 | UInt32(iterator.next() ?? 0) & 0x3F }
    return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
  }

  /// The scalar that ends before `place`, and its length in bytes; nil at the start.
  static func scalar(endingAt place: Int, in text: [UInt8]) -> (scalar: Unicode.Scalar, length: Int)? {
    var start = place - 1
    while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
    return start >= 0 ? scalar(at: start, in: text) : nil
  }
}

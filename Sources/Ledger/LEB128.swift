/// LEB128: seven bits a byte, the lowest first; the highest bit says that more follow.
enum LEB128 {
  static func append(_ number: UInt64, to bytes: inout [UInt8]) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  /// Takes a number off the front; nil if there is none that an `Int` holds.
  static func number(_ bytes: inout ArraySlice<UInt8>) -> Int? {
    var number: UInt64 = 0
    for place in 0..<9 {
      guard let byte = bytes.popFirst() else { return nil }
      number |= UInt64(byte & 0x7F) << UInt64(7 * place)
      if byte & 0x80 == 0 { return Int(exactly: number) }
    }
    return nil
  }
}

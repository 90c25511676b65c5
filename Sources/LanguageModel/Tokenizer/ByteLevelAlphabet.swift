/// The alphabet in which `tokenizer.json` writes bytes: a printable byte of Latin-1 stands for itself, the others
/// for U+0100 and up, in their order. So a space is Ġ and a line feed is Ċ.
package enum ByteLevelAlphabet {
  /// The scalar for each byte.
  package static let scalars: [Unicode.Scalar] = {
    var scalars: [Unicode.Scalar] = []
    var next: UInt32 = 0x100
    for byte in UInt8.min...UInt8.max {
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: scalars.append(Unicode.Scalar(byte))
      default:
        scalars.append(Unicode.Scalar(next) ?? " ")
        next += 1
      }
    }
    return scalars
  }()

  private static let bytes: [UInt32: UInt8] = Dictionary(
    uniqueKeysWithValues: scalars.enumerated().map { ($1.value, UInt8($0)) })

  /// The bytes that a token is written for; nil if it has a scalar that is not of this alphabet.
  static func bytes(of token: String) -> [UInt8]? {
    var result: [UInt8] = []
    for scalar in token.unicodeScalars {
      guard let byte = bytes[scalar.value] else { return nil }
      result.append(byte)
    }
    return result
  }
}

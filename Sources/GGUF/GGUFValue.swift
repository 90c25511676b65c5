import LanguageModel

/// A value of a GGUF file's metadata.
public enum GGUFValue: Sendable {
  case unsigned(UInt64)
  case signed(Int64)
  case float(Float)
  case double(Double)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)

  /// The types by their numbers in the file (`gguf_type` of gguf.h).
  enum Kind: UInt32 {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value; nil for those that differ in length.
    var size: Int? {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .uint64, .int64, .float64: 8
      case .string, .array: nil
      }
    }
  }

  /// What kind of value this is, for errors.
  var kindName: String {
    switch self {
    case .unsigned, .signed: "a whole number"
    case .float, .double: "a number"
    case .bool: "true or false"
    case .string: "a string"
    case .array(let array): "a list of \(array.count) values"
    }
  }

  /// A whole number that an `Int` holds.
  var int: Int? {
    switch self {
    case .unsigned(let value): Int(exactly: value)
    case .signed(let value): Int(exactly: value)
    default: nil
    }
  }
}

/// A list in a GGUF file, read when it is asked for: those of a tokenizer hold some hundred thousand entries.
public struct GGUFArray: Sendable {
  let kind: GGUFValue.Kind
  public let count: Int
  /// Where the entries begin in the file; they were walked over once, so that they lie in it.
  let start: Int
}

/// The number formats of tensors in a GGUF file that can be read, by their numbers there (`ggml_type` of ggml.h).
///
/// Quantised rows consist of blocks: so many numbers that share a scale, in so many bytes.
public enum GGUFTensorType: UInt32, Sendable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q40 = 2
  case q41 = 3
  case q50 = 6
  case q51 = 7
  case q80 = 8
  case q4K = 12
  case q5K = 13
  case q6K = 14
  case bf16 = 30

  /// Numbers in a block.
  public var blockCount: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q40, .q41, .q50, .q51, .q80: 32
    case .q4K, .q5K, .q6K: 256
    }
  }

  /// Bytes of a block.
  public var blockSize: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q40: 2 + 16
    case .q41: 4 + 16
    case .q50: 2 + 4 + 16
    case .q51: 4 + 4 + 16
    case .q80: 2 + 32
    case .q4K: 4 + 12 + 128
    case .q5K: 4 + 12 + 32 + 128
    case .q6K: 128 + 64 + 16 + 2
    }
  }

  /// As ggml writes it, as in `Q4_K`.
  public var name: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .bf16: "BF16"
    case .q40: "Q4_0"
    case .q41: "Q4_1"
    case .q50: "Q5_0"
    case .q51: "Q5_1"
    case .q80: "Q8_0"
    case .q4K: "Q4_K"
    case .q5K: "Q5_K"
    case .q6K: "Q6_K"
    }
  }

  /// Whether a block has a scale that its numbers were rounded to.
  public var isQuantized: Bool { blockCount > 1 }

  /// The names of the others that ggml knows, to refuse them by.
  private static let otherNames: [UInt32: String] = [
    9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64",
    28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
  ]

  /// The name of a format by its number, known here or not.
  static func name(of number: UInt32) -> String {
    GGUFTensorType(rawValue: number)?.name ?? otherNames[number] ?? "the unknown type \(number)"
  }

  /// `F32, F16, …`
  static var list: String { allCases.map(\.name).joined(separator: ", ") }
}

import LanguageModel

/// The names that llama.cpp gives to the tensors of a checkpoint, and how it turns the rows of some of them.
enum GGUFNames {
  static let embedding = "token_embd.weight"
  static let head = "output.weight"
  static let ropeFactors = "rope_freqs.weight"
  static let longFactors = "rope_factors_long.weight"
  static let shortFactors = "rope_factors_short.weight"

  /// Computed from the metadata as well, so that they need not become tensors of the checkpoint.
  static let ropeNames = [ropeFactors, longFactors, shortFactors]

  private static let whole = [
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
  ]

  private static let inLayer = [
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
  ]

  /// The name in GGUF of a tensor or module of a checkpoint: `blk.0.attn_q.weight` for
  /// `model.layers.0.self_attn.q_proj.weight`; nil if it has none.
  static func name(ofTensor name: String) -> String? {
    guard let dot = name.lastIndex(of: ".") else { return nil }
    return module(String(name[..<dot])).map { $0 + name[dot...] }
  }

  static func module(_ module: String) -> String? {
    if let name = whole[module] { return name }
    let prefix = "model.layers."
    guard module.hasPrefix(prefix) else { return nil }
    let rest = module.dropFirst(prefix.count)
    guard let dot = rest.firstIndex(of: "."), let leaf = inLayer[String(rest[rest.index(after: dot)...])]
    else { return nil }
    return "blk.\(rest[..<dot]).\(leaf)"
  }
}

extension ModelConfiguration.Family {
  /// `general.architecture`. Mistral's models are llama's there.
  var ggufArchitecture: String {
    switch self {
    case .llama, .mistral: "llama"
    case .qwen2: "qwen2"
    case .qwen3: "qwen3"
    }
  }
}

/// The order of the rows of Q and K in GGUF files of the architecture `llama`, whose RoPE turns neighbours where that of
/// transformers turns the two halves of a head: row 2j + i of a head there is row i·d/2 + j here.
struct HeadRows {
  /// Of a head, a whole one; nil: rows stand as they do here.
  private let dimension: Int?

  /// - Parameter tensor: the name in the checkpoint, or the path of a module.
  init(tensor: String, configuration: ModelConfiguration) {
    let isTurned = [Projection.query, .key].contains { tensor.contains(".\($0.path)") }
    dimension =
      isTurned && configuration.family.ggufArchitecture == "llama" ? configuration.headDimension : nil
  }

  var isIdentity: Bool { dimension == nil }

  /// Where a row of the checkpoint stands in the GGUF file.
  func place(inGGUF row: Int) -> Int {
    guard let dimension else { return row }
    let (head, inside) = row.quotientAndRemainder(dividingBy: dimension)
    let (half, pair) = inside.quotientAndRemainder(dividingBy: dimension / 2)
    return head * dimension + 2 * pair + half
  }

  /// Where a row of the GGUF file stands in the checkpoint.
  func place(inCheckpoint row: Int) -> Int {
    guard let dimension else { return row }
    let (head, inside) = row.quotientAndRemainder(dividingBy: dimension)
    return head * dimension + inside % 2 * (dimension / 2) + inside / 2
  }
}

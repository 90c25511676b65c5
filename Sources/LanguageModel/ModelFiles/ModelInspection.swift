import Foundation
import JSON

/// Says what a model folder holds.
public enum ModelInspection {
  public struct Report: Sendable {
    /// For a person: one line for each fact.
    public let text: String
    /// For a program: one object.
    public let json: JSONValue
  }

  /// The rank at which the size of an adapter is told.
  static let rank = 8

  /// - Throws: ``ModelError`` if the configuration or the weights are broken; a tokenizer that cannot be read is
  ///   part of the report.
  public static func report(folder: String) throws -> Report {
    let model = try ModelFolder(path: folder)
    let facts = try facts(of: model)
    let width = facts.map(\.label.count).max() ?? 0
    let lines = facts.map { fact in
      fact.label + String(repeating: " ", count: width + 2 - fact.label.count) + fact.text
    }
    let members = facts.map { JSONObject.Member(key: $0.key, value: $0.value) }
    return Report(text: lines.joined(separator: "\n"), json: .object(JSONObject(members)))
  }

  private struct Fact {
    let label: String
    let key: String
    let text: String
    let value: JSONValue

    init(_ label: String, _ key: String, _ value: JSONValue, _ text: String? = nil) {
      self.label = label
      self.key = key
      self.value = value
      self.text = text ?? value.string ?? value.text
    }
  }

  private static func facts(of model: ModelFolder) throws -> [Fact] {
    try shapeFacts(model.configuration) + weightFacts(model) + tokenizerFacts(model)
      + adapterFacts(model.configuration)
  }

  private static func shapeFacts(_ model: ModelConfiguration) -> [Fact] {
    let windows = Set(model.slidingWindows.compactMap { $0 }).sorted()
    return [
      Fact("family", "model_type", .string(model.modelType)),
      Fact("layers", "num_hidden_layers", .number(model.layerCount)),
      Fact("hidden size", "hidden_size", .number(model.hiddenSize)),
      Fact("intermediate size", "intermediate_size", .number(model.intermediateSize)),
      Fact("attention heads", "num_attention_heads", .number(model.headCount)),
      Fact("key/value heads", "num_key_value_heads", .number(model.keyValueHeadCount)),
      Fact("head dimension", "head_dim", .number(model.headDimension)),
      Fact("vocabulary", "vocab_size", .number(model.vocabularySize)),
      Fact("positions", "max_position_embeddings", .number(model.maxPositions)),
      Fact("RoPE theta", "rope_theta", .number(model.ropeTheta)),
      Fact("RoPE scaling", "rope_scaling", model.ropeScaling.json, model.ropeScaling == .none ? "none" : nil),
      Fact("sliding window", "sliding_window", .numbers(windows), windows.isEmpty ? "none" : nil),
      Fact(
        "tied embeddings", "tie_word_embeddings", .bool(model.tiedEmbeddings),
        model.tiedEmbeddings ? "yes" : "no"),
    ]
  }

  private static func weightFacts(_ model: ModelFolder) throws -> [Fact] {
    var parameters = 0
    var bytes = 0
    var types: [String: Int] = [:]
    for tensor in model.configuration.tensors {
      let stored = try model.weights.tensor(tensor.name)
      parameters += stored.count
      bytes += stored.bytes.count
      types[stored.dtype.configName, default: 0] += 1
    }
    let unused = model.leftOut.count
    let typeNames = types.keys.sorted()
    return [
      Fact("parameters", "parameters", .number(parameters), grouped(parameters)),
      Fact(
        "weights", "bytes", .number(bytes), "\(grouped(bytes)) bytes in \(model.weights.files.count) file(s)"),
      Fact("stored as", "dtypes", .strings(typeNames), typeNames.joined(separator: ", ")),
      Fact("unused tensors", "unused_tensors", .number(unused)),
    ]
  }

  private static func tokenizerFacts(_ model: ModelFolder) -> [Fact] {
    guard FileManager.default.fileExists(atPath: model.path + "/tokenizer.json") else {
      return [Fact("tokenizer", "tokenizer", .null, "none")]
    }
    do {
      let tokenizer = try model.tokenizer()
      let end: JSONValue = tokenizer.eosTokenID.map { .number(Int($0)) } ?? .null
      return [
        Fact(
          "tokenizer", "tokenizer", .string(tokenizer.kind),
          "\(tokenizer.kind), \(tokenizer.vocabularySize) ids"),
        Fact("end of text", "eos_token_id", end, end.isNull ? "none" : nil),
      ]
    } catch {
      return [Fact("tokenizer", "tokenizer_error", .string("\(error)"), "cannot be used: \(error)")]
    }
  }

  private static func adapterFacts(_ model: ModelConfiguration) -> [Fact] {
    let names = Projection.allCases.map(\.rawValue)
    let specification = LoRASpecification(
      rank: rank, alpha: Double(2 * rank), targetModules: names, layers: Array(0..<model.layerCount))
    let count = specification.tensors(of: model).reduce(0) { $0 + $1.shape.reduce(1, *) }
    return [
      Fact("LoRA targets", "lora_target_modules", .strings(names), names.joined(separator: " ")),
      Fact(
        "LoRA parameters", "lora_parameters_rank_\(rank)", .number(count), "\(grouped(count)) at rank \(rank)"
      ),
    ]
  }

  /// 1234567 as 1,234,567.
  private static func grouped(_ number: Int) -> String {
    var digits = String(number)
    var place = digits.count - 3
    while place > 0 {
      digits.insert(",", at: digits.index(digits.startIndex, offsetBy: place))
      place -= 3
    }
    return digits
  }
}

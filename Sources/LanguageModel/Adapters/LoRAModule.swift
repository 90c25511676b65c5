/// A linear layer that LoRA can change: a projection of one layer.
public struct LoRAModule: Sendable, Hashable, Comparable {
  public let layer: Int
  public let projection: Projection

  public init(layer: Int, projection: Projection) {
    self.layer = layer
    self.projection = projection
  }

  /// As in `model.layers.0.self_attn.q_proj`; nil for any other text.
  public init?(path: String) {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == "model", parts[1] == "layers", let layer = Int(parts[2]), layer >= 0,
      parts[2] == String(layer), let projection = Projection(rawValue: String(parts[4])),
      projection.path == "\(parts[3]).\(parts[4])"
    else { return nil }
    self.init(layer: layer, projection: projection)
  }

  public var path: String { projection.module(layer: layer) }

  public static func < (a: LoRAModule, b: LoRAModule) -> Bool {
    a.layer != b.layer ? a.layer < b.layer : a.projection.number < b.projection.number
  }
}

extension Projection {
  /// Its place among all projections.
  var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

extension ModelConfiguration {
  /// All that LoRA can change, layer by layer.
  public var linearModules: [LoRAModule] {
    (0..<layerCount).flatMap { layer in
      Projection.allCases.map { LoRAModule(layer: layer, projection: $0) }
    }
  }
}

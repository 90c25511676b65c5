import Ledger
import WireProtocol

/// Where a shard's way through the layers differs first from what was recorded of it.
struct LayerComparison {
  typealias Place = (layer: String?, direction: StepFault.Direction)

  /// Forward or backward; nil if nothing of these differs, or nothing was recorded.
  private(set) var way: Place?
  /// In what the gradients were added up to.
  private(set) var sum: Place?
  /// Whether there is anything recorded to compare with.
  let isRecorded: Bool

  /// - Parameters:
  ///   - own: what this machine came to.
  ///   - modules: the names of the shard's modules, in the order of the digests.
  init(_ recorded: LayerDigestRecord?, own: LayerDigests, modules: [String]) {
    guard let recorded, !recorded.forward.isEmpty else {
      isRecorded = false
      return
    }
    isRecorded = true
    let layerCount = own.forward.count - 1
    if let layer = Self.difference(recorded.forward, own.forward) {
      way = layer < layerCount ? ("model.layers.\(layer)", .forward) : (nil, .loss)
    } else {
      way = Self.backward(recorded, own, modules, layerCount: layerCount)
    }
    if let module = Self.difference(recorded.sums, own.sums) {
      sum = (modules.indices.contains(module) ? modules[module] : nil, .accumulate)
    }
  }

  /// The first place where two lists differ; that behind the shorter one, if that is all.
  private static func difference(_ recorded: [UInt64], _ own: [UInt64]) -> Int? {
    zip(recorded, own).enumerated().first { $1.0 != $1.1 }?.offset
      ?? (recorded.count == own.count ? nil : min(recorded.count, own.count))
  }

  /// As the backward pass goes: from the head down, and of each layer its modules before its input.
  private static func backward(
    _ recorded: LayerDigestRecord, _ own: LayerDigests, _ modules: [String], layerCount: Int
  ) -> Place? {
    guard recorded.gradients.count == own.gradients.count, recorded.backward.count == own.backward.count,
      own.gradients.count == modules.count || own.gradients.isEmpty
    else { return (nil, .gradient) }
    var wrong: [(height: Int, isInput: Int, place: Place)] = []
    for (module, pair) in zip(modules, zip(recorded.gradients, own.gradients)) where pair.0 != pair.1 {
      wrong.append((height(of: module, layerCount: layerCount), 0, (module, .gradient)))
    }
    for (number, pair) in zip(recorded.backward, own.backward).enumerated() where pair.0 != pair.1 {
      let layer = layerCount - 1 - number
      wrong.append((layer, 1, ("model.layers.\(layer)", .backward)))
    }
    return wrong.min { (-$0.height, $0.isInput) < (-$1.height, $1.isInput) }?.place
  }

  /// The number of a module's layer; the embedding lies below all of them, everything else above.
  private static func height(of module: String, layerCount: Int) -> Int {
    let parts = module.split(separator: ".")
    if let place = parts.firstIndex(of: "layers"), place + 1 < parts.count, let layer = Int(parts[place + 1])
    {
      return layer
    }
    return module.hasSuffix("embed_tokens") ? -1 : layerCount
  }
}

import Digests
import JSON

/// What a worker says of the way through the layers that a shard of training took: 64-bit digests, each over the shard's
/// micro-batches in ascending order. Whoever computes the shard again finds by them where it first differs; no result is
/// compared by them.
///
/// Modules are those of the shard's tiers, tier by tier, in the order of their parameters in ENTER_RUN: the parameters whose
/// names are the same up to the last dot.
public struct LayerDigests: Sendable, Hashable {
  /// Of each layer's output, from the first layer on, and at the end of the losses.
  public var forward: [UInt64]
  /// Of the gradient by each layer's input, from the last layer down to the lowest that has one.
  public var backward: [UInt64]
  /// Of each module's gradient by single micro-batches.
  public var gradients: [UInt64]
  /// Of each module's part of what the gradients were added up to: of the sum over the node, or, in a window, of the chains
  /// that are kept, which may be none.
  public var sums: [UInt64]

  public init(
    forward: [UInt64] = [], backward: [UInt64] = [], gradients: [UInt64] = [], sums: [UInt64] = []
  ) {
    self.forward = forward
    self.backward = backward
    self.gradients = gradients
    self.sums = sums
  }

  /// Whether a message may have them.
  public var isWithinLimits: Bool {
    [forward, backward, gradients, sums].allSatisfy { $0.count <= WireLimits.layerDigests }
  }
}

extension LayerDigests {
  var json: JSONValue {
    [
      "forward": .string(Self.text(forward)), "backward": .string(Self.text(backward)),
      "gradients": .string(Self.text(gradients)), "sums": .string(Self.text(sums)),
    ]
  }

  /// - Returns: nil if a list is missing, longer than a result may have, or not of whole digests.
  init?(_ json: JSONValue) {
    guard let forward = Self.digests(json["forward"]), let backward = Self.digests(json["backward"]),
      let gradients = Self.digests(json["gradients"]), let sums = Self.digests(json["sums"])
    else { return nil }
    self.init(forward: forward, backward: backward, gradients: gradients, sums: sums)
  }

  /// Sixteen digits for each, the highest first.
  private static func text(_ digests: [UInt64]) -> String { digests.map(Hexadecimal.text).joined() }

  private static func digests(_ json: JSONValue?) -> [UInt64]? {
    guard let text = json?.string, text.utf8.count % 16 == 0,
      text.utf8.count <= 16 * WireLimits.layerDigests
    else { return nil }
    let digits = Array(text.utf8)
    let digests = stride(from: 0, to: digits.count, by: 16).compactMap {
      Hexadecimal.word(String(decoding: digits[$0..<$0 + 16], as: UTF8.self))
    }
    return digests.count == digits.count / 16 ? digests : nil
  }
}

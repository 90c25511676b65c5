import JSON
import NestedLearning

/// The tensors of a training state in a snapshot: one blob for each kind (parameters, m, v, a window's chain) and tier,
/// so that a snapshot is a few files, and a tier that did not change costs none.
enum SnapshotTensors {
  /// Adds the blobs.
  ///
  /// - Parameter unchanged: blobs of the last snapshot, by name, that hold the very same values.
  /// - Returns: the list of tensors, in the order in which they lie in their blobs, for the manifest.
  static func write(
    _ tensors: [NamedTensor], unchanged: [String: SnapshotBlob], to writer: inout SnapshotWriter
  ) throws -> JSONValue {
    var order: [String] = []
    var blobs: [String: [[Float]]] = [:]
    for tensor in tensors {
      let blob = blob(of: tensor.name, tier: tensor.tier)
      if blobs[blob] == nil { order.append(blob) }
      blobs[blob, default: []].append(tensor.values)
    }
    for blob in order {
      if let unchanged = unchanged[blob] {
        try writer.reuse(unchanged)
      } else {
        try writer.add(blob, floats: blobs[blob] ?? [])
      }
    }
    return .array(
      tensors.map { ["name": .string($0.name), "tier": .number($0.tier), "shape": .numbers($0.shape)] })
  }

  /// The blobs that hold nothing but what a tier's updates change: all but the windows.
  static func blobsOfUpdates(tier: Int) -> [String] { ["parameters", "m", "v"].map { "\($0)/tier.\(tier)" } }

  static func read(_ snapshot: Snapshot) throws -> [NamedTensor] {
    var rest: [String: ArraySlice<Float>] = [:]
    for blob in snapshot.blobs { rest[blob.name] = try snapshot.floats(of: blob.name)[...] }
    return try (snapshot.state["tensors"]?.array ?? []).map { entry in
      guard let name = entry["name"]?.string, let tier = entry["tier"]?.int,
        let shape = entry["shape"]?.array?.compactMap(\.int), shape.allSatisfy({ $0 > 0 && $0 < 1 << 40 })
      else {
        throw ServiceError("the snapshot of step \(snapshot.step) lists a tensor without name, tier or shape")
      }
      let blob = blob(of: name, tier: tier)
      let count = shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
      guard let values = rest[blob], count >= 0, values.count >= count else {
        throw ServiceError("the snapshot of step \(snapshot.step) has no values for \(name)")
      }
      rest[blob] = values.dropFirst(count)
      return NamedTensor(name: name, tier: tier, shape: shape, values: Array(values.prefix(count)))
    }
  }

  /// `m/model.layers.0.….lora_a` of tier 1 lies in the blob `m/tier.1`.
  private static func blob(of tensor: String, tier: Int) -> String {
    let kind = tensor.lastIndex(of: "/").map { tensor[..<$0] } ?? ""
    return "\(kind)/tier.\(tier)"
  }
}

extension Snapshot {
  /// The state of training that it holds.
  ///
  /// - Throws: `SnapshotError` if a blob is damaged, `ServiceError` if the list of tensors is none.
  func trainer() throws -> TrainerSnapshot {
    TrainerSnapshot(tensors: try SnapshotTensors.read(self), numbers: state["trainer"] ?? nil)
  }
}

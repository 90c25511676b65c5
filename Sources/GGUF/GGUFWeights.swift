import LanguageModel

/// The tensors of a checkpoint, decoded out of a GGUF file as they are written.
final class GGUFWeights {
  private let file: GGUFFile
  private let configuration: ModelConfiguration
  private let dtype: WrittenType
  private let progress: (_ written: Int, _ total: Int) throws -> Void
  private var byteCount = 0
  private(set) var remarks: [String] = []

  private var written = 0
  private var count = 0
  private var roundedCount = 0
  private var nonFiniteCount = 0

  /// Numbers that are decoded at a time.
  private static let pieceCount = 1 << 20

  /// bf16 where the matrices are stored as that or are quantised, whose rounding is far coarser; f32 where they are f32 or
  /// f16, which bf16 would round.
  static func standardType(of file: GGUFFile) -> WrittenType {
    let matrices = file.tensors.filter { $0.shape.count > 1 }
    return matrices.contains { $0.type == .f32 || $0.type == .f16 } ? .f32 : .bf16
  }

  init(
    file: GGUFFile, configuration: ModelConfiguration, dtype: WrittenType,
    progress: @escaping (_ written: Int, _ total: Int) throws -> Void
  ) {
    self.file = file
    self.configuration = configuration
    self.dtype = dtype
    self.progress = progress
  }

  /// The tensors to be written, which keep this object alive.
  ///
  /// - Throws: ``ModelError`` unless the file has every tensor of the configuration with its shape in a known type, and no
  ///   other. A bias that the file has in some layers or projections only is zero in the rest.
  func items() throws(ModelError) -> [SafetensorsItem] {
    try checkNames()
    var items: [SafetensorsItem] = []
    var zeros: [String] = []
    for expected in configuration.tensors {
      let name = GGUFNames.name(ofTensor: expected.name) ?? ""
      if let tensor = file.tensor(name) {
        try check(tensor, expected)
        items.append(item(expected, tensor))
      } else if name.hasSuffix(".bias"), configuration.family != .qwen2 {
        zeros.append(expected.name)
        items.append(zeroItem(expected))
      } else {
        throw ModelError(file: file.path, name: "tensor \(name)", "is missing")
      }
    }
    // Only now is it sure that no shape is larger than the file.
    byteCount = items.reduce(0) { $0 + $1.byteCount }
    if !zeros.isEmpty {
      remarks.append("\(zeros.count) biases that the file does not have are zero, as \(zeros[0])")
    }
    return items
  }

  private func zeroItem(_ expected: ModelConfiguration.TensorShape) -> SafetensorsItem {
    SafetensorsItem(name: expected.name, shape: expected.shape, as: dtype) { [self] in
      let count = expected.shape.reduce(1, *)
      try advance(by: count * dtype.stored.size)
      return [Float](repeating: 0, count: count)
    }
  }

  private func checkNames() throws(ModelError) {
    let known = Set(
      configuration.tensors.compactMap { GGUFNames.name(ofTensor: $0.name) } + GGUFNames.ropeNames)
    if let stray = file.tensors.first(where: { !known.contains($0.name) }) {
      throw ModelError(
        file: file.path, name: "tensor \(stray.name)",
        "has no place in a \(configuration.modelType) model of \(configuration.layerCount) layers; such models are "
          + "not supported")
    }
  }

  private func check(_ tensor: GGUFTensor, _ expected: ModelConfiguration.TensorShape) throws(ModelError) {
    guard tensor.type != nil else {
      throw ModelError(
        file: file.path, name: "tensor \(tensor.name)",
        "is stored as \(GGUFTensorType.name(of: tensor.typeNumber)), which is not supported; these are: "
          + GGUFTensorType.list)
    }
    guard tensor.shape == expected.shape else {
      throw ModelError(
        file: file.path, name: "tensor \(tensor.name)",
        "has the shape \(tensor.shape), but the metadata ask for \(expected.shape)")
    }
  }

  private func item(_ expected: ModelConfiguration.TensorShape, _ tensor: GGUFTensor) -> SafetensorsItem {
    SafetensorsItem(name: expected.name, shape: expected.shape, dtype: dtype.stored) { [self] write in
      // A vector that is turned has its numbers as rows.
      let isVector = expected.shape.count == 1
      let rows = HeadRows(tensor: expected.name, configuration: configuration)
      try decode(tensor, rows: rows, isVector: isVector) { floats in try emit(floats, write) }
      file.forget(tensor)
    }
  }

  /// Hands over all numbers of a tensor in the checkpoint's order, a piece at a time.
  private func decode(
    _ tensor: GGUFTensor, rows: HeadRows, isVector: Bool, _ body: ([Float]) throws -> Void
  ) throws {
    if isVector {
      let floats = file.floats(of: tensor)
      return try body(rows.isIdentity ? floats : floats.indices.map { floats[rows.place(inGGUF: $0)] })
    }
    let step = max(1, Self.pieceCount / max(1, tensor.rowLength))
    for start in stride(from: 0, to: tensor.rowCount, by: step) {
      let piece = start..<min(start + step, tensor.rowCount)
      let floats = [Float](unsafeUninitializedCapacity: piece.count * tensor.rowLength) {
        buffer, initialized in
        if let base = buffer.baseAddress {
          file.decode(tensor, rows: piece.lazy.map { rows.place(inGGUF: $0) }, into: base)
        }
        initialized = piece.count * tensor.rowLength
      }
      try body(floats)
    }
  }

  private func emit(_ floats: [Float], _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    count += floats.count
    nonFiniteCount += floats.reduce(0) { $0 + ($1.isFinite ? 0 : 1) }
    switch dtype {
    case .f32: break
    case .bf16: roundedCount += floats.reduce(0) { $0 + ($1.bitPattern & 0xFFFF == 0 ? 0 : 1) }
    case .f16: roundedCount += floats.reduce(0) { $0 + ($1.isExactInHalf ? 0 : 1) }
    }
    try dtype.write(floats, write)
    try advance(by: floats.count * dtype.stored.size)
  }

  private func advance(by bytes: Int) throws {
    written += bytes
    try progress(written, byteCount)
  }

  /// What was written, once it is.
  func summary(files: Int) -> String {
    if nonFiniteCount > 0 {
      remarks.append("\(nonFiniteCount) weights are not finite numbers; such a model cannot be trained")
    }
    var types: [String: Int] = [:]
    for tensor in file.tensors { types[tensor.type?.name ?? "", default: 0] += 1 }
    let from = types.sorted { $0.value > $1.value }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    let rounding =
      switch dtype {
      case .f32: "every bit as decoded"
      case .bf16 where roundedCount == 0, .f16 where roundedCount == 0: "every number as decoded"
      case .bf16: "\(roundedCount) of \(count) numbers rounded, by 0.4 % at most"
      case .f16:
        "\(roundedCount) of \(count) numbers rounded, by 0.05 % at most if they are no smaller than 6e-5"
      }
    return "\(from) tensors as \(dtype.rawValue) in \(files) file(s): \(rounding)"
  }
}

extension Float {
  /// Whether half precision has it: 11 significant bits, and no bit below 2⁻²⁴.
  fileprivate var isExactInHalf: Bool {
    guard isFinite else { return true }
    let isFine = bitPattern & 0x1FFF == 0 && magnitude < 0x1p16
    return isFine && (magnitude >= 0x1p-14 || self * 0x1p24 == (self * 0x1p24).rounded())
  }
}

import Files
import JSON

/// Writes a whole model out of a base model and an adapter: W + s·BA for every adapted matrix, and the tensors that the
/// adapter replaces in their place.
///
/// The sums are f32: of a row of the product, one term for each of the ranks in their order, then the base's number. They
/// have the same bits on every machine.
public struct ModelMerger {
  public let base: ModelFolder
  public let adapter: AdapterWeights
  /// How weights are stored.
  public var dtype: WrittenType
  /// Bytes of a shard at most.
  public var shardSize = ShardedSafetensorsWriter.standardSize
  /// The folder whose tokenizer files are taken.
  public var tokenizerFolder: String

  /// Numbers that are computed at a time.
  private static let pieceCount = 1 << 20

  /// - Parameter adapterFolder: a folder in the form of mlx-lm or PEFT. Tokenizer files in it, which may have tokens that
  ///   were added, come before those of the base model.
  /// - Throws: what is wrong with either folder.
  public init(model: String, adapter adapterFolder: String) throws {
    let base = try ModelFolder(path: model)
    let stored = try base.configuration.tensors.map { try base.weights.tensor($0.name).dtype }
    adapter = try AdapterReader.read(folder: adapterFolder, model: base.configuration)
    if let head = adapter.specification.heads.first {
      throw ModelError(
        file: adapterFolder, name: "tasks",
        "has a head for \(head.name), and a merged model has no place for it; use the adapter as it is")
    }
    if adapter.specification.domains?.adaptsNorms == true {
      throw ModelError(
        file: adapterFolder, name: "domains",
        "has norms with a scale for each domain, and a merged model has no place for them; use the adapter as it is"
      )
    }
    self.base = try base.grown(to: adapter.specification.vocabularyRows ?? base.configuration.vocabularySize)
    dtype = stored.contains(.bf16) ? .bf16 : .f32
    tokenizerFolder = FileSystem.kind(adapterFolder + "/tokenizer.json") == nil ? model : adapterFolder
  }

  /// What was made.
  public struct Report: Sendable {
    public let tensors: Int
    public let changed: Int
    public let bytes: Int
    public let files: Int
  }

  /// Writes the folder, which appears whole or not at all. Tensors are computed and written a piece at a time.
  ///
  /// - Parameters:
  ///   - output: the folder to make; it must not be there yet.
  ///   - progress: hears of the bytes of weights that are written, and may end the work by an error.
  public func run(
    output: String, progress: @escaping (_ written: Int, _ total: Int) throws -> Void
  ) throws -> Report {
    guard FileSystem.kind(output) == nil else {
      throw ModelError(file: output, "is already there; remove it or choose another name")
    }
    let counter = Counter(progress)
    let items = try items(counter)
    counter.total = items.reduce(0) { $0 + $1.byteCount }
    if let free = FileSystem.freeBytes(at: output), free < counter.total {
      throw ModelError(
        file: output, "needs \(counter.total) bytes, but \(free) are free on this volume; free some space")
    }
    var files = 0
    try AtomicFolder.make(output) { folder in
      files = try ShardedSafetensorsWriter.write(items, size: shardSize, to: folder).count
      try AtomicFile.write(try config().bytes(indent: 2), to: folder + "/config.json")
      try ModelFolder.copyCompanions(from: base.path, to: folder)
      if tokenizerFolder != base.path { try ModelFolder.copyCompanions(from: tokenizerFolder, to: folder) }
    }
    return Report(
      tensors: items.count, changed: adapter.specification.modules.count + adapter.replaced.count,
      bytes: counter.total, files: files)
  }

  /// Whether the head is a matrix of its own: the base's is, or the adapter has another one or another embedding.
  private var hasHeadOfItsOwn: Bool {
    !base.configuration.tiedEmbeddings
      || [WeightStore.headName, WeightStore.embeddingName].contains { adapter.replaced[$0] != nil }
  }

  private func items(_ counter: Counter) throws -> [SafetensorsItem] {
    var shapes = base.configuration.tensors
    if base.configuration.tiedEmbeddings, hasHeadOfItsOwn, let shape = shapes.first?.shape {
      shapes.append(.init(name: WeightStore.headName, shape: shape))
    }
    let merged = try shapes.map { expected in
      if let replaced = adapter.replaced[expected.name] { return item(expected, counter, replaced: replaced) }
      let isHead = expected.name == WeightStore.headName
      let source = isHead && base.configuration.tiedEmbeddings ? WeightStore.embeddingName : expected.name
      return item(expected, counter, stored: try base.weights.tensor(source, shape: expected.shape))
    }
    let leftOut = try base.leftOut.compactMap { name in
      try base.weights.contains(name) ? base.weights.tensor(name) : nil
    }
    return merged
      + leftOut.map { tensor in
        SafetensorsItem(name: tensor.name, shape: tensor.shape, dtype: tensor.dtype) { write in
          try write(tensor.bytes)
          try counter.add(tensor.bytes.count)
        }
      }
  }

  private func item(
    _ expected: ModelConfiguration.TensorShape, _ counter: Counter, replaced: HostTensor
  ) -> SafetensorsItem {
    SafetensorsItem(name: expected.name, shape: expected.shape, as: dtype) {
      try counter.add(replaced.count * dtype.stored.size)
      return replaced.values
    }
  }

  private func item(
    _ expected: ModelConfiguration.TensorShape, _ counter: Counter, stored: StoredTensor
  ) -> SafetensorsItem {
    let pair = pair(of: expected.name)
    return SafetensorsItem(name: expected.name, shape: expected.shape, dtype: dtype.stored) { write in
      let width = max(1, expected.shape.last ?? 1)
      let step = max(1, Self.pieceCount / width)
      for start in stride(from: 0, to: stored.count / width, by: step) {
        let rows = start..<min(start + step, stored.count / width)
        var values = stored.floats(in: rows.lowerBound * width..<rows.upperBound * width)
        pair?.add(to: &values, rows: rows)
        try dtype.write(values, write)
        try counter.add(values.count * dtype.stored.size)
      }
    }
  }

  private func pair(of tensor: String) -> MergedPair? {
    guard tensor.hasSuffix(".weight"),
      let module = LoRAModule(path: String(tensor.dropLast(".weight".count))),
      let a = adapter.tensors[module.path + ".lora_a"], let b = adapter.tensors[module.path + ".lora_b"]
    else { return nil }
    return MergedPair(a: a, b: b, scale: adapter.specification.scale(of: module))
  }

  /// The base's `config.json`, with what is another now.
  private func config() throws -> JSONValue {
    guard var object = try readJSON(path: base.path + "/config.json").object else {
      return base.configuration.json()
    }
    object[object["dtype"] == nil ? "torch_dtype" : "dtype"] = .string(dtype.stored.configName)
    if object["dtype"] != nil { object["torch_dtype"] = nil }
    object["tie_word_embeddings"] = .bool(!hasHeadOfItsOwn)
    object["vocab_size"] = .number(base.configuration.vocabularySize)
    return .object(object)
  }

  /// Bytes that are written so far.
  private final class Counter {
    var total = 0
    private var written = 0
    private let progress: (_ written: Int, _ total: Int) throws -> Void

    init(_ progress: @escaping (_ written: Int, _ total: Int) throws -> Void) { self.progress = progress }

    func add(_ count: Int) throws {
      written += count
      try progress(written, total)
    }
  }
}

/// A low-rank pair on its way into the matrix that it changes.
private struct MergedPair {
  /// [r, in]
  let a: HostTensor
  /// [r, out]
  let b: HostTensor
  let scale: Float

  /// - Parameter values: the rows of W [out, in] that `rows` names.
  func add(to values: inout [Float], rows: Range<Int>) {
    let (rank, width, height) = (a.shape[0], a.shape[1], b.shape[1])
    var sum = [Float](repeating: 0, count: width)
    a.values.withUnsafeBufferPointer { a in
      sum.withUnsafeMutableBufferPointer { sum in
        values.withUnsafeMutableBufferPointer { values in
          for (index, row) in rows.enumerated() {
            for i in 0..<width { sum[i] = 0 }
            for r in 0..<rank {
              let factor = b.values[r * height + row]
              let terms = UnsafeBufferPointer(rebasing: a[r * width..<(r + 1) * width])
              for i in 0..<width { sum[i] += factor * terms[i] }
            }
            let start = index * width
            for i in 0..<width { values[start + i] += scale * sum[i] }
          }
        }
      }
    }
  }
}

import LanguageModel

extension GGUFFile {
  /// Decodes rows of a tensor, in the order in which they are asked for.
  ///
  /// - Parameters:
  ///   - tensor: one whose type is known.
  ///   - rows: numbers of rows, each below `tensor.rowCount`.
  ///   - out: room for as many rows.
  func decode(
    _ tensor: GGUFTensor, rows: some Sequence<Int>, into out: UnsafeMutablePointer<Float>
  ) {
    guard let type = tensor.type, let base = bytes(of: tensor).baseAddress else { return }
    let length = tensor.rowLength
    let rowBytes = length / type.blockCount * type.blockSize
    var target = out
    for row in rows {
      let source = (base + row * rowBytes).assumingMemoryBound(to: UInt8.self)
      BlockDecoder.decode(type, source, count: length, into: target)
      target += length
    }
  }

  /// All numbers of a tensor whose type is known, row after row.
  public func floats(of tensor: GGUFTensor) -> [Float] {
    guard tensor.type != nil else { return [] }
    return [Float](unsafeUninitializedCapacity: tensor.count) { buffer, initialized in
      if let base = buffer.baseAddress { decode(tensor, rows: 0..<tensor.rowCount, into: base) }
      initialized = tensor.count
    }
  }
}

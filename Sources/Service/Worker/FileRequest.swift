import WireProtocol

/// One file of the base model that a worker fetches: which pieces are asked for ahead of what has come, and what is made
/// of what comes. Pure.
package struct FileRequest {
  package struct Limits: Sendable {
    /// Bytes that are asked for ahead of what has come, and in one piece.
    package var windowBytes = 4 << 20
    package var pieceBytes = WireLimits.modelPieceBytes
    /// How often a chunk may arrive damaged.
    var damagedChunks = 10
    /// Messages that are not the next chunk, as there are after a damaged one, before the coordinator is not believed.
    var strayMessages = 256

    package init() {}
  }

  private let number: Int
  private let file: ModelOffer.File
  private let limits: Limits
  /// Bytes that are here, and those that have been asked for.
  package private(set) var received: Int
  private var asked: Int
  private var damaged = 0
  private var strays = 0

  /// - Parameters:
  ///   - number: of the file in the offer, from 0.
  ///   - received: bytes of it that are here from before.
  package init(_ file: ModelOffer.File, number: Int, received: Int, limits: Limits = Limits()) {
    self.number = number
    self.file = file
    self.received = received
    self.limits = limits
    asked = received
  }

  package var isComplete: Bool { received >= file.byteCount }

  /// The next piece that is to be asked for now; nil if the window takes none.
  package mutating func nextPiece() -> ModelCredit.Piece? {
    guard asked < file.byteCount, asked + limits.pieceBytes - received <= limits.windowBytes else {
      return nil
    }
    let count = min(limits.pieceBytes, file.byteCount - asked)
    defer { asked += count }
    return ModelCredit.Piece(file: number, offset: asked, byteCount: count)
  }

  /// Takes what came.
  ///
  /// - Returns: the bytes that come next in the file; nil if it is something else, or damaged, and then asked for again.
  /// - Throws: if that has happened too often.
  package mutating func take(_ message: ModelMessage) throws -> WireSlice? {
    guard case .chunk(let chunk) = message, chunk.file == number, chunk.offset == received,
      chunk.payload.byteCount <= file.byteCount - chunk.offset
    else {
      strays += 1
      guard strays <= limits.strayMessages else {
        throw ServiceError("the coordinator does not send what it is asked for of \(file.name)")
      }
      return nil
    }
    guard chunk.isIntact else {
      damaged += 1
      guard damaged <= limits.damagedChunks else {
        throw ServiceError("chunks of \(file.name) of the base model have arrived damaged \(damaged) times")
      }
      asked = received
      return nil
    }
    strays = 0
    received += chunk.payload.byteCount
    return chunk.payload
  }
}

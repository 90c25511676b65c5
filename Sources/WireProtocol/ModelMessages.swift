import Digests
import JSON

/// What coordinator and worker say to each other about the base model's files.
public enum ModelMessage: Sendable, Equatable {
  /// Coordinator: these are the model's files.
  case offer(ModelOffer)
  /// Worker: send me this piece of them.
  case credit(ModelCredit)
  /// Coordinator: a part of that piece.
  case chunk(ModelChunk)

  public var type: MessageType {
    switch self {
    case .offer: .modelOffer
    case .credit: .modelCredit
    case .chunk: .modelChunk
    }
  }

  var body: any MessageBody {
    switch self {
    case .offer(let body): body
    case .credit(let body): body
    case .chunk(let body): body
    }
  }
}

/// MODEL_OFFER: the base model's files, `config.json` and the weights.
public struct ModelOffer: Sendable, Equatable {
  public struct File: Sendable, Equatable {
    /// A bare file name: no folder, no separator, and nothing that is hidden.
    public var name: String
    public var byteCount: Int
    public var sha256: String

    public init(name: String, byteCount: Int, sha256: String) {
      self.name = name
      self.byteCount = byteCount
      self.sha256 = sha256
    }

    /// Whether a name from another machine may become that of a file here.
    public static func isSafe(name: String) -> Bool {
      (1...WireLimits.fileNameBytes).contains(name.utf8.count) && !name.hasPrefix(".")
        && name.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
          default: false
          }
        }
    }
  }

  /// Digest of the model, that of WELCOME.
  public var modelSHA256: String
  public var files: [File]

  public init(modelSHA256: String, files: [File]) {
    self.modelSHA256 = modelSHA256
    self.files = files
  }

  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
}

extension ModelOffer: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("model_sha256", modelSHA256)
    writer.add(
      "files",
      .array(
        files.map {
          ["name": .string($0.name), "bytes": .number($0.byteCount), "sha256": .string($0.sha256)]
        }))
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    guard let items = try reader.value("files").array, items.count <= WireLimits.modelFiles else {
      throw reader.error("files", "must be a list of at most \(WireLimits.modelFiles) files")
    }
    var files: [File] = []
    for item in items {
      guard let name = item["name"]?.string, let byteCount = item["bytes"]?.int,
        let sha256 = item["sha256"]?.string
      else { throw reader.error("files", "has a file without \"name\", \"bytes\" or \"sha256\"") }
      files.append(File(name: name, byteCount: byteCount, sha256: sha256))
    }
    if let objection = Self.objection(to: files) { throw reader.error("files", objection) }
    self.init(modelSHA256: try reader.sha256("model_sha256"), files: files)
  }

  /// Why files cannot be offered, if they cannot; as the end of a sentence that begins with what they are.
  public static func objection(to files: [File]) -> String? {
    guard files.count <= WireLimits.modelFiles else { return "are more than \(WireLimits.modelFiles)" }
    var names = Set<String>()
    for file in files {
      guard File.isSafe(name: file.name) else {
        return "has a name that is not one of letters, digits, \".\", \"_\" and \"-\", or begins with \".\""
      }
      // Some file systems take both for the same.
      guard names.insert(file.name.lowercased()).inserted else { return "has the name \(file.name) twice" }
      guard (0...WireLimits.modelFileBytes).contains(file.byteCount) else {
        return "gives \(file.name) a length above \(WireLimits.modelFileBytes) bytes, or below 0"
      }
      guard Digest.isSHA256(file.sha256) else { return "gives \(file.name) no SHA-256" }
    }
    return nil
  }
}

/// MODEL_CREDIT: asks for the offer, or for a piece of one of its files, or tells how much is there and no more.
public struct ModelCredit: Sendable, Equatable {
  public struct Piece: Sendable, Equatable {
    /// Number of the file in the offer, from 0.
    public var file: Int
    public var offset: Int
    /// 0 asks for nothing.
    public var byteCount: Int

    public init(file: Int, offset: Int, byteCount: Int) {
      self.file = file
      self.offset = offset
      self.byteCount = byteCount
    }
  }

  /// Bytes of the whole model that the worker has on its disk, whoever of its machine fetches it.
  public var receivedBytes: Int
  /// Nil asks for the offer.
  public var piece: Piece?

  public init(received receivedBytes: Int, _ piece: Piece? = nil) {
    self.receivedBytes = receivedBytes
    self.piece = piece
  }

  /// Asks for nothing.
  public static func report(received receivedBytes: Int) -> ModelCredit {
    ModelCredit(received: receivedBytes, Piece(file: 0, offset: 0, byteCount: 0))
  }
}

extension ModelCredit: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("received", receivedBytes)
    guard let piece else { return }
    writer.add("file", piece.file)
    writer.add("offset", piece.offset)
    writer.add("bytes", piece.byteCount)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    let received = try reader.integer("received", in: 0...WireLimits.modelBytes)
    guard let file = try reader.optionalInteger("file", in: 0...(WireLimits.modelFiles - 1)) else {
      self.init(received: received)
      return
    }
    self.init(
      received: received,
      Piece(
        file: file, offset: try reader.integer("offset", in: 0...WireLimits.modelFileBytes),
        byteCount: try reader.integer("bytes", in: 0...WireLimits.modelPieceBytes)))
  }
}

/// MODEL_CHUNK: at most 262,144 bytes of a file.
public struct ModelChunk: Sendable, Equatable {
  /// Number of the file in the offer, from 0.
  public var file: Int
  public var offset: Int
  public var payload: WireSlice
  /// CRC-32C of the payload, as the sender computed it.
  public var checksum: UInt32

  public init(file: Int, offset: Int, payload: WireSlice) {
    self.init(
      file: file, offset: offset, payload: payload,
      checksum: payload.withUnsafeBytes { Checksum.of([], $0) })
  }

  init(file: Int, offset: Int, payload: WireSlice, checksum: UInt32) {
    self.file = file
    self.offset = offset
    self.payload = payload
    self.checksum = checksum
  }

  /// Whether the payload is what its sender read.
  public var isIntact: Bool { payload.withUnsafeBytes { Checksum.of([], $0) } == checksum }
}

extension ModelChunk: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("file", file)
    writer.add("offset", offset)
    writer.add(checksumOfPayload: checksum)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    let (payload, checksum) = try reader.payload()
    self.init(
      file: try reader.integer("file", in: 0...(WireLimits.modelFiles - 1)),
      offset: try reader.integer("offset", in: 0...WireLimits.modelFileBytes), payload: payload,
      checksum: checksum)
  }
}

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
    var names = Set<String>()
    for item in items {
      guard let name = item["name"]?.string, File.isSafe(name: name) else {
        throw reader.error(
          "files",
          "has a name that is not one of letters, digits, \".\", \"_\" and \"-\", or begins with \".\"")
      }
      guard names.insert(name.lowercased()).inserted else {
        throw reader.error("files", "has the name \(name) twice")
      }
      guard let byteCount = item["bytes"]?.int, (0...WireLimits.modelFileBytes).contains(byteCount) else {
        throw reader.error(
          "files", "gives \(name) no length, or one above \(WireLimits.modelFileBytes) bytes")
      }
      guard let sha256 = item["sha256"]?.string, Digest.isSHA256(sha256) else {
        throw reader.error("files", "gives \(name) no SHA-256")
      }
      files.append(File(name: name, byteCount: byteCount, sha256: sha256))
    }
    self.init(modelSHA256: try reader.sha256("model_sha256"), files: files)
  }
}

/// MODEL_CREDIT: asks for the offer, or for a piece of one of its files.
public struct ModelCredit: Sendable, Equatable {
  public struct Piece: Sendable, Equatable {
    /// Number of the file in the offer, from 0.
    public var file: Int
    public var offset: Int
    public var byteCount: Int

    public init(file: Int, offset: Int, byteCount: Int) {
      self.file = file
      self.offset = offset
      self.byteCount = byteCount
    }
  }

  /// Nil asks for the offer.
  public var piece: Piece?

  public init(_ piece: Piece? = nil) { self.piece = piece }
}

extension ModelCredit: MessageBody {
  func write(to writer: inout BodyWriter) {
    guard let piece else { return }
    writer.add("file", piece.file)
    writer.add("offset", piece.offset)
    writer.add("bytes", piece.byteCount)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    guard let file = try reader.optionalInteger("file", in: 0...(WireLimits.modelFiles - 1)) else {
      self.init()
      return
    }
    self.init(
      Piece(
        file: file, offset: try reader.integer("offset", in: 0...WireLimits.modelFileBytes),
        byteCount: try reader.integer("bytes", in: 1...WireLimits.modelPieceBytes)))
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
    writer.add(payload: payload, checksum: checksum)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    let (payload, checksum) = try reader.payload()
    self.init(
      file: try reader.integer("file", in: 0...(WireLimits.modelFiles - 1)),
      offset: try reader.integer("offset", in: 0...WireLimits.modelFileBytes), payload: payload,
      checksum: checksum)
  }
}

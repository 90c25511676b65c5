import Digests
import JSON

/// What is said about an object before its bytes come.
public struct ObjectDeclaration: Sendable, Equatable {
  public let name: String
  public let byteCount: Int
  public let sha256: String

  public init(_ object: WireObject) {
    name = object.name
    byteCount = object.byteCount
    sha256 = object.sha256
  }

  var json: JSONValue {
    ["name": .string(name), "bytes": .number(byteCount), "sha256": .string(sha256)]
  }

  /// Reads a list of objects and holds it to the limits: all of them, before anything is allocated for one.
  ///
  /// - Parameter bytes: of all of them
  static func list(
    _ items: [JSONValue], limits: WireLimits, bytes: Int
  ) throws(ProtocolError) -> [ObjectDeclaration] {
    guard items.count <= limits.objects else {
      throw ProtocolError(.limit, "\(items.count) objects; the limit is \(limits.objects)")
    }
    var declarations: [ObjectDeclaration] = []
    var names = Set<String>()
    var total = 0
    for item in items {
      let declaration = try ObjectDeclaration(item, limits: limits)
      guard names.insert(declaration.name).inserted else {
        throw ProtocolError(.body, "two objects have the name \"\(declaration.name)\"")
      }
      guard declaration.byteCount <= bytes - total else {
        throw ProtocolError(.limit, "the objects have more than \(bytes) bytes together")
      }
      total += declaration.byteCount
      declarations.append(declaration)
    }
    return declarations
  }

  /// Reads the list in a body, whose objects must be as many as the header counts, and as long as its payload.
  static func list(
    in body: JSONObject, header: FrameHeader, limits: WireLimits
  ) throws(ProtocolError) -> [ObjectDeclaration] {
    let items = body["objects"]?.array ?? []
    guard items.count == header.objectCount else {
      throw ProtocolError(
        .body, "\(items.count) objects are described, the header counts \(header.objectCount)")
    }
    let declarations = try list(
      items, limits: limits, bytes: min(limits.messageBytes, WireLimits.payloadBytes))
    let bytes = declarations.reduce(0) { $0 + $1.byteCount }
    guard bytes == header.payloadLength else {
      throw ProtocolError(
        .body, "the objects have \(bytes) bytes, the header says \(header.payloadLength)")
    }
    return declarations
  }

  private init(_ item: JSONValue, limits: WireLimits) throws(ProtocolError) {
    guard let name = item["name"]?.string, (1...WireLimits.nameBytes).contains(name.utf8.count) else {
      throw ProtocolError(.body, "an object's name must have 1 to \(WireLimits.nameBytes) bytes")
    }
    guard let byteCount = item["bytes"]?.int, byteCount >= 0 else {
      throw ProtocolError(.body, "object \"\(name)\" has no length")
    }
    guard byteCount <= limits.objectBytes else {
      throw ProtocolError(
        .limit, "object \"\(name)\" of \(byteCount) bytes; the limit is \(limits.objectBytes)")
    }
    guard let sha256 = item["sha256"]?.string, Digest.isSHA256(sha256) else {
      throw ProtocolError(.body, "object \"\(name)\" has no SHA-256")
    }
    self.name = name
    self.byteCount = byteCount
    self.sha256 = sha256
  }
}

/// A request of ZeroMQ's authentication protocol (ZAP, RFC 27): one connection's claim, to be let in or not.
///
/// It is answered with "200" only if every field is what a CURVE connection to our own address has and the key is on
/// the list; with "400" if the claim is refused; with "500" if the request is none.
struct AuthenticationRequest: Equatable {
  static let version = "1.0"
  static let domain = "nested-learning"
  static let mechanism = "CURVE"
  /// version, request id, domain, address, routing id, mechanism, credentials
  static let frameCount = 7
  static let maximumFrameBytes = 255

  enum Verdict: Equatable {
    case allowed(PublicKey)
    case refused(Refusal)
    case malformed
  }

  /// Judges a request by its frames.
  static func judge(_ frames: [[UInt8]], allowedKeys: [PublicKey: String]) -> Verdict {
    guard frames.count == frameCount, frames.allSatisfy({ $0.count <= maximumFrameBytes }),
      frames[0].elementsEqual(version.utf8)
    else { return .malformed }
    let key = PublicKey(bytes: frames[6])
    let isOurs = frames[2].elementsEqual(domain.utf8) && frames[5].elementsEqual(mechanism.utf8)
    guard isOurs, let key, allowedKeys[key] != nil else {
      return .refused(Refusal(address: printable(frames[3]), key: isOurs ? key : nil))
    }
    return .allowed(key)
  }

  /// The frames of the answer: version, request id, status, its text, user id, metadata.
  static func answer(_ verdict: Verdict, to frames: [[UInt8]]) -> [[UInt8]] {
    let id = frames.count > 1 && frames[1].count <= maximumFrameBytes ? frames[1] : []
    let (status, text, user) =
      switch verdict {
      case .allowed(let key): ("200", "OK", key.description)
      case .refused: ("400", "No access", "")
      case .malformed: ("500", "Not a request", "")
      }
    return [Array(version.utf8), id, Array(status.utf8), Array(text.utf8), Array(user.utf8), []]
  }

  private static func printable(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.prefix(64).filter { (0x21...0x7E).contains($0) }, as: UTF8.self)
  }
}

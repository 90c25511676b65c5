import HTTPTypes
import Hummingbird
import NIOCore

/// A request's own: who it comes from.
struct WebContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// The address of who asks, for limits: of the other end, or what a proxy on this machine says of it.
  private(set) var peer: String
  /// The connection, to know of its end, or to end it.
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
    peer = source.channel.remoteAddress?.ipAddress ?? "?"
  }

  func named(by request: Request) -> WebContext {
    var context = self
    context.peer = Self.peer(of: request.head, from: peer)
    return context
  }

  /// Behind a proxy all requests come from one address; without `X-Real-IP` one who guesses tokens would keep everybody
  /// out. It counts from this machine alone, where whoever is on it has a network of addresses anyway.
  static func peer(of request: HTTPRequest, from address: String) -> String {
    guard address.hasPrefix("127.") || address == "::1", let said = request.headerFields[.realAddress],
      (2...45).contains(said.utf8.count), said.allSatisfy({ $0.isHexDigit || $0 == "." || $0 == ":" })
    else { return address }
    return said
  }
}

extension HTTPField.Name {
  static let realAddress = Self("X-Real-IP")!
  static let fetchSite = Self("Sec-Fetch-Site")!
}

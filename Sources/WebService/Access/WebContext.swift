import Hummingbird
import NIOCore

/// A request's own: who it comes from.
struct WebContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// The address of the other end, for limits.
  let peer: String

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    peer = source.channel.remoteAddress?.ipAddress ?? "?"
  }
}

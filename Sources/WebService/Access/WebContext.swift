import Hummingbird
import NIOCore

/// A request's own: who it comes from.
struct WebContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// The address of the other end, for limits.
  let peer: String
  /// The connection, to know of its end, or to end it.
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
    peer = source.channel.remoteAddress?.ipAddress ?? "?"
  }
}

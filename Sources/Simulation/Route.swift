import Coordination
import Transport
import WireProtocol

/// One connection between a worker's socket and the coordinator's, as ZeroMQ makes it. When it breaks, the same socket
/// connects again by itself, and the coordinator knows the new connection by another routing id.
struct Route {
  struct Line {
    /// When what was sent so far has gone out.
    var freeAt = Instant.zero
    /// Messages come in the order in which they were sent.
    var lastArrival = Instant.zero
    var inFlight = 0
  }

  let id: Int
  let place: Int
  /// Counts the sockets of this place's processes.
  let socket: Int
  /// The coordinator process that it leads to.
  let term: Int
  /// The public key with which it was let in; nil if it has none.
  let key: String?
  var up = Line()
  var down = Line()
  /// As the coordinator's socket keeps it.
  var link: LinkEnd
  /// The worker has closed its socket; what it sent still arrives.
  var isClosing = false

  var peer: PeerID { PeerID("\(id)") }
  static func id(of peer: PeerID) -> Int { Int("\(peer)") ?? 0 }
}

/// A message on its way.
struct Packet {
  let route: Int
  let frames: [[UInt8]]
}

enum Direction {
  case up
  case down
}

import JSON

/// WINDOW: chains of windows through one step, for a worker that goes on from them.
public struct WindowMessage: Sendable, Equatable {
  /// The last step that is in the chains.
  public var step: Int
  /// The first step of each chain's window.
  public var firsts: [Int]
  /// Ordered by tier, then micro-batch; at least one.
  public var chains: [WindowChain]

  public init(step: Int, firsts: [Int], chains: [WindowChain]) {
    self.step = step
    self.firsts = firsts
    self.chains = chains
  }
}

extension WindowMessage: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("step", step)
    writer.add("firsts", firsts)
  }

  var objects: [WireObject] { chains.map(\.values) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    var chains: [WindowChain] = []
    for object in reader.remainingObjects() {
      guard let chain = WindowChain(object) else {
        throw reader.error(object.name, "is not the name of a chain")
      }
      chains.append(chain)
    }
    chains.sort { ($0.tier, $0.microBatch) < ($1.tier, $1.microBatch) }
    let step = try reader.integer("step", in: 1...Int.max)
    let firsts = try reader.integers("firsts", in: 1...step, maximumCount: WireLimits().objects)
    guard !chains.isEmpty, firsts.count == chains.count else {
      throw reader.error("firsts", "must name the first step of each chain, of which there is at least one")
    }
    self.init(step: step, firsts: firsts, chains: chains)
  }
}

/// A run that is to be carried out, and that may have to be read and checked first.
struct QueuedRun: Sendable {
  /// For people: where it came from.
  let name: String
  /// Nil if it is still to be made ready.
  var prepared: PreparedRun?
  /// Reads and checks what it is made from, and makes or takes its folder.
  let prepare: @Sendable () throws -> PreparedRun
}

/// A run that is ready: what it is made from, and where it is written down.
struct PreparedRun: @unchecked Sendable {
  let plan: any TrainedRun
  let store: OpenRun
  /// The run that this one measures something for, and that begins when it is done.
  var measuredFor: Following?

  struct Following {
    /// For people.
    let name: String
    let prepare: @Sendable () throws -> PreparedRun
  }

  /// The folder is free for others.
  func close() { try? store.ledger.close() }
}

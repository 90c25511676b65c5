import WireProtocol

/// The runs of one coordinator, in the order in which they are to begin; so many are at work together. One that rests
/// leaves its place to the next that waits, and goes on beside the others when it is told to. A run that cannot begin, or
/// fails, changes nothing for the others. Pure: the driver asks for the `next` run, and says what has become of it.
public struct RunQueue: Sendable, Equatable {
  /// Most runs that are at work together, those that rest apart; at least 1.
  public let parallel: Int
  private var waiting: [RunNumber]
  /// By the run that it cannot begin before: what that one measures, this one needs.
  private var held: [RunNumber: RunNumber] = [:]
  /// Runs that are being made ready.
  private var preparing = Set<RunNumber>()
  /// Runs that have begun, and of these the ones that rest.
  private var begun = Set<RunNumber>()
  private var resting = Set<RunNumber>()
  /// Whether the user wants everything to stop: nothing begins any more.
  public private(set) var isStopped = false
  /// Whether the workers are to be sent away once all runs are over: not if the last one has left them to join again.
  public private(set) var sendsAway = true

  public init(_ runs: some Sequence<RunNumber>, parallel: Int) {
    waiting = Array(runs)
    self.parallel = max(1, parallel)
  }

  /// Runs that wait, or are being made ready, in their order.
  public var notBegun: [RunNumber] { preparing.sorted() + held.values.sorted() + waiting }

  /// Whether no run waits, is being made ready, or has begun and not ended.
  public var isOver: Bool { waiting.isEmpty && held.isEmpty && preparing.isEmpty && begun.isEmpty }

  /// One more run, behind those that wait. It does not begin if everything has been stopped.
  public mutating func add(_ run: RunNumber) { if !isStopped { waiting.append(run) } }

  /// A run that waits is not to begin.
  ///
  /// - Returns: whether it waited; not if it is being made ready, or has begun.
  public mutating func remove(_ run: RunNumber) -> Bool {
    guard let place = waiting.firstIndex(of: run) else { return false }
    waiting.remove(at: place)
    return true
  }

  /// Those of these runs that wait come first, in this order; the others keep theirs behind them.
  public mutating func putFirst(_ runs: [RunNumber]) {
    let first = runs.filter(waiting.contains)
    waiting = (try? QueueOrder.putFirst(first, in: waiting) { _ in true }) ?? waiting
  }

  /// The run that is to be made ready now, if one more may be at work.
  public mutating func next() -> RunNumber? {
    guard begun.count - resting.count + preparing.count < parallel, !waiting.isEmpty else { return nil }
    let run = waiting.removeFirst()
    preparing.insert(run)
    return run
  }

  /// A run that is being made ready leaves its place to another, which measures something for it, and is the next once that
  /// is over.
  public mutating func hold(_ run: RunNumber, until other: RunNumber) {
    preparing.remove(run)
    preparing.insert(other)
    if !isStopped { held[other] = run }
  }

  /// What measures for a run that is held.
  public func measurement(for run: RunNumber) -> RunNumber? { held.first { $0.value == run }?.key }

  /// The run that begins after another.
  public func held(until other: RunNumber) -> RunNumber? { held[other] }

  /// A run that is held does not begin: what it needs is not there.
  public mutating func drop(_ run: RunNumber) { held = held.filter { $0.value != run } }

  /// A run is ready.
  ///
  /// - Returns: whether it begins; not if everything has been stopped meanwhile.
  public mutating func begins(_ run: RunNumber) -> Bool {
    preparing.remove(run)
    if !isStopped { begun.insert(run) }
    return !isStopped
  }

  /// A run rests, or goes on, whoever is at work by then.
  public mutating func rest(_ run: RunNumber, _ rests: Bool) {
    guard begun.contains(run) else { return }
    if rests { resting.insert(run) } else { resting.remove(run) }
  }

  /// A run is over, or cannot begin.
  ///
  /// - Parameter sendsAway: whether its workers are to be sent away if nothing is left for them.
  public mutating func ended(_ run: RunNumber, sendsAway: Bool) {
    preparing.remove(run)
    begun.remove(run)
    resting.remove(run)
    self.sendsAway = sendsAway
    if let next = held.removeValue(forKey: run) { waiting.insert(next, at: 0) }
  }

  /// Everything is to stop.
  ///
  /// - Returns: the runs that waited, which do not begin.
  public mutating func stop() -> [RunNumber] {
    isStopped = true
    defer { (waiting, held) = ([], [:]) }
    return held.values.sorted() + waiting
  }
}

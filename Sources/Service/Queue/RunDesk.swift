import Coordination
import Files
import Foundation
import JSON
import Ledger
import Observability
import Synchronization
import Training
import WireProtocol

/// The runs of a folder, and the queue of those that one fleet carries out: for those who ask from other threads.
///
/// What is to be done is on the disk, in `queue.json`, before it is begun; after a crash all of it goes on. How a run
/// stands is in its ledger.
public final class RunDesk: Sendable {
  /// Does something on the fleet's thread, soon.
  typealias Post = @Sendable (@escaping @Sendable (FleetService) throws -> Void) -> Void

  /// A run of the queue, as it stands now.
  public struct Entry: Sendable {
    public enum State: String, Sendable { case queued, running, paused, stopping }

    public let name: String
    public let state: State
    /// What was asked for; null if its folder says it.
    public let config: JSONValue
    public let submitted: String
    /// Whether its turn is still to come, so that it can be moved.
    public let isWaiting: Bool
    /// What the fleet says of it: PROTOCOL.md, STATUS_REPLY; nil before it has begun.
    public let fleet: JSONValue?
  }

  /// A run that could not begin.
  public struct Failure: Sendable {
    public let name: String
    public let config: JSONValue
    public let reason: String
    public let time: String
  }

  struct Place: Sendable {
    var entry: QueueEntry
    /// Its number in the fleet; nil while that does not know of it.
    var number: RunNumber?
    /// Whether its turn has come, in this process: it is made ready, or has begun.
    var isBegun = false
    var status: JSONValue?

    var isResting: Bool { entry.isPaused || status?["is_resting"]?.bool == true }
    var isWaiting: Bool { !isBegun && status == nil && !entry.isPaused && !entry.isStopping }
  }

  struct State: Sendable {
    var places: [Place] = []
    var failures: [QueueFailure] = []
    var nextNumber: UInt32 = 1
    var changes: UInt64 = 0

    var contents: QueueFile.Contents {
      QueueFile.Contents(entries: places.map(\.entry), failures: failures)
    }
    func index(of name: String) -> Int? { places.firstIndex { $0.entry.name == name } }
    func number(of name: String) -> RunNumber? { index(of: name).flatMap { places[$0].number } }

    /// Those whose turn is still to come, in the order in which it comes.
    var waiting: [Place] { places.filter(\.isWaiting) }

    /// Brings the places into an order of their names, which has each of them once.
    mutating func order(by names: [String]) {
      let known = Dictionary(places.map { ($0.entry.name, $0) }, uniquingKeysWith: { first, _ in first })
      places = names.compactMap { known[$0] }
    }
  }

  /// The folder that the runs' folders are in; absolute.
  public let folder: String
  public let health: Health
  public let metrics: MetricsRegistry

  private let file: QueueFile
  private let lock: FolderLock
  private let process: CoordinatorProcess
  private let lines: RecentLines
  let post: Post
  /// One change of the queue at a time, from deciding to having it on the disk.
  private let oneChange = Mutex<Void>(())
  private let state: Mutex<State>
  /// What follows from the fleet's news is written by this thread, and not by the fleet's.
  let writer = SerialThread(name: "queue")
  /// What runs are called while they are being deleted.
  static let deletedPrefix = ".deleted-"
  private static let mostFailures = 20
  private static let mostEntries = 1000

  /// - Throws: if another service looks after the folder, or its queue cannot be read.
  init(folder: String, process: CoordinatorProcess, lines: RecentLines, post: @escaping Post) throws {
    self.folder = folder
    self.process = process
    self.lines = lines
    self.post = post
    (health, metrics) = (process.telemetry.health, process.telemetry.metrics)
    try FileSystem.makeFolders(folder)
    do { lock = try FolderLock(path: folder + "/queue.lock") } catch let taken as FolderLock.Taken {
      throw ServiceError(
        "another service looks after \(folder)\(taken.holder.map { " (\($0))" } ?? "")",
        remedy: "stop it first, or give another folder of runs with --runs")
    }
    file = QueueFile(folder: folder)
    let contents = try file.read()
    // What was to end when the last service did has ended with it.
    let places = contents.entries.filter { !$0.isStopping }.map { Place(entry: $0) }
    state = Mutex(State(places: places, failures: contents.failures))
    for name in try FileSystem.names(in: folder) where name.hasPrefix(Self.deletedPrefix) {
      writer.async { try? FileSystem.remove(folder + "/" + name) }
    }
  }

  /// Has the fleet go on with everything that was at work or waited when the last service ended.
  func goOn() {
    let number = oneChange.withLock { _ in
      state.withLock { state in
        // Somebody may have put one into the queue already.
        for place in state.places where place.number == nil && !place.entry.isPaused {
          enter(place.entry.name, &state)
        }
        return state.places.count
      }
    }
    if number > 0 { process.logger.notice("\(number) runs of \(file.path) go on") }
  }

  // MARK: - What is there

  public var entries: [Entry] {
    state.withLock { $0.places.map(Self.shown) }
  }

  public var failures: [Failure] {
    state.withLock { state in
      state.failures.map { Failure(name: $0.name, config: $0.config, reason: $0.reason, time: $0.time) }
    }
  }

  /// A number that grows with all that is told of here.
  public var changes: UInt64 { state.withLock { $0.changes } }

  /// Something that is told of with the runs has changed beside them.
  public func tellOfChange() { state.withLock { $0.changes += 1 } }

  /// - Returns: lines of the log about a run, the newest last: `time`, `level`, `message`
  public func recentLines(_ count: Int, of run: String?) -> [JSONValue] { lines.last(count, of: run) }

  /// The folder of a run.
  public func folder(of name: String) -> String { folder + "/" + name }

  private static func shown(_ place: Place) -> Entry {
    let state: Entry.State =
      if place.entry.isStopping {
        .stopping
      } else if place.isResting {
        .paused
      } else if place.status == nil {
        .queued
      } else {
        .running
      }
    return Entry(
      name: place.entry.name, state: state, config: place.entry.config, submitted: place.entry.submitted,
      isWaiting: place.isWaiting, fleet: place.status)
  }

  // MARK: - Within

  /// Changes the queue: what `body` makes of the state is on the disk before what it returns is done.
  func change(_ body: (inout State) throws -> ((inout State) -> Void)) throws {
    try oneChange.withLock { _ in
      var next = state.withLock { $0 }
      let follows = try body(&next)
      do { try file.write(next.contents) } catch {
        throw RunRequestError(
          .unavailable, "the queue could not be written: \(error)", hint: "make room on the disk")
      }
      state.withLock { state in
        // Only the fleet's news can have come meanwhile, and it goes by number.
        for index in next.places.indices {
          guard let number = next.places[index].number,
            let now = state.places.first(where: { $0.number == number })
          else { continue }
          (next.places[index].status, next.places[index].isBegun) = (now.status, now.isBegun)
        }
        next.changes = state.changes + 1
        state = next
        follows(&state)
      }
    }
  }

  static func checkRoom(_ state: State) throws {
    guard state.places.count < mostEntries else {
      throw RunRequestError(
        .tooMany, "\(mostEntries) runs are in the queue", hint: "wait for some of them, or stop some")
    }
  }

  /// Hands a run to the fleet.
  func enter(_ name: String, _ state: inout State) {
    guard let index = state.index(of: name) else { return }
    let number = RunNumber(state.nextNumber)
    state.nextNumber += 1
    state.places[index].number = number
    let (entry, folder) = (state.places[index].entry, folder(of: state.places[index].entry.name))
    let run = QueuedRun(name: folder) { [process] in
      try process.readyOfQueue(folder: folder, config: entry.config)
    }
    post { try $0.add(number, run) }
  }
}

extension RunDesk: FleetBoard {
  private func isStopping(_ number: RunNumber) -> Bool {
    state.withLock { $0.places.contains { $0.number == number && $0.entry.isStopping } }
  }

  func stands(_ runs: [RunNumber: JSONValue]) {
    state.withLock { state in
      for index in state.places.indices {
        guard let number = state.places[index].number, let status = runs[number] else { continue }
        state.places[index].status = status
      }
      state.changes += 1
    }
  }

  func begins(_ number: RunNumber) {
    state.withLock { state in
      guard let index = state.places.firstIndex(where: { $0.number == number }) else { return }
      state.places[index].isBegun = true
      let waiting = Set(state.waiting.map(\.entry.name))
      let order = QueueOrder.begun(
        state.places[index].entry.name, in: state.places.map(\.entry.name), isWaiting: waiting.contains)
      state.order(by: order)
      state.changes += 1
    }
  }

  func ended(_ number: RunNumber, _ result: Result<RunEnding, any Error>) {
    // A stop of the whole program is none of the run: it goes on when the service does.
    if case .success(.stopped) = result, !isStopping(number) { return }
    writer.async { [self] in
      do {
        try change { state in
          guard let index = state.places.firstIndex(where: { $0.number == number }) else { return { _ in } }
          let entry = state.places.remove(at: index).entry
          if case .failure(let error) = result, !(error is FinishedRun),
            !RecordedRun.isOne(folder(of: entry.name))
          {
            state.failures.append(
              QueueFailure(
                name: entry.name, config: entry.config, reason: "\(error)", time: Timestamp.now().text))
            state.failures = state.failures.suffix(Self.mostFailures)
          }
          return { _ in }
        }
      } catch { process.logger.warning("\(error)") }
    }
  }
}

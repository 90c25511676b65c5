import Harness
import NestedLearning
import Transport
import WireProtocol

@testable import Coordination
@testable import Service

/// What the workers are to do, as `WorkerService` does it.
extension HostileCluster {
  mutating func tell(_ place: Int, _ event: WorkerEvent) {
    guard !workers[place].isGone else { return }
    for effect in workers[place].core.step(event, now: now) {
      let session = workers[place].core.session
      switch effect {
      case .connect: connect(place)
      case .abandon: workers[place].job = nil
      case .send(let message): sendFrom(place, message)
      case .loadModel(let run):
        workers[place].load(run)
        sendFrom(place, .model(.credit(ModelCredit(received: 0))))
        sendFrom(
          place, .model(.credit(ModelCredit(received: 500, .init(file: 0, offset: 0, byteCount: 300)))))
        add(
          .workerEvent(place: place, session: session, .modelLoaded(sha256: run.modelSHA256)), after: 0.5)
      case .probe: add(.workerEvent(place: place, session: session, .probed(sha256: Self.probe)), after: 0.1)
      case .apply: break
      case .takeWindow(let window): workers[place].take(window)
      case .compute(let job, let message):
        workers[place].job = (job, message)
        // Some are late, so that others compute what was theirs, and what they keep has to be fetched.
        add(
          .jobDone(place: place, job: job), after: random.next(below: message.step > 2 ? 2 : 5) == 0 ? 8 : 1)
      case .stop(let job):
        workers[place].job = nil
        add(.workerEvent(place: place, session: session, .stopped(job: job)), after: 0.01)
      case .renew(_, let attempt):
        sendFrom(place, .leaseRenew(LeaseRenew(attempt: attempt, progress: Int(seconds * 10))))
      case .log: break
      case .exit: workers[place].isGone = true
      case .armTimer(let time):
        workers[place].timer = time
        add(.workerTimer(place: place, time), at: time)
      }
    }
  }

  mutating func connect(_ place: Int) {
    if connections > 0, workers[place].connection > 0 {
      add(.disconnected(connection: workers[place].connection), after: 0.01)
    }
    connections += 1
    owners[connections] = place
    workers[place].connection = connections
    workers[place].end = .worker(options)
  }

  mutating func sendFrom(_ place: Int, _ message: Message) {
    var packets: [[[UInt8]]] = []
    let core = workers[place].core
    do {
      try workers[place].end.send(message, of: core.work, session: core.session, now: seconds) {
        packets.append($0)
        return true
      }
    } catch {
      // As the worker's driver does, after the other effects.
      add(.workerEvent(place: place, session: core.session, .connectionFailed(reason: "\(error)")), after: 0)
    }
    put(packets, toCoordinator: true, workers[place].connection)
  }
}

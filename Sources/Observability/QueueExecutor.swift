import Dispatch

/// Runs tasks on a thread of its own. Swift's threads are as many as the machine has cores, and whoever asks how the
/// program is must be answered while all of them are at work.
final class QueueExecutor: TaskExecutor {
  private let queue: DispatchQueue

  init(label: String) { queue = DispatchQueue(label: label) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

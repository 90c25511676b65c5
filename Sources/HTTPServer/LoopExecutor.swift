import NIOCore

/// Runs tasks on the thread of an event loop, where what has come for them is already: nothing of a request has to go from
/// one thread to another. Swift's threads are as many as the machine has cores, and whoever asks how the program is must be
/// answered while all of them are at work.
final class LoopExecutor: TaskExecutor {
  private let loop: any EventLoop

  init(_ loop: any EventLoop) { self.loop = loop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

import Coordination
import Transport

/// Worker processes that end, and what they may end for.
extension Simulation {
  func exited(_ place: Int, successful: Bool, _ reason: String) {
    note("worker \(place) exits: \(reason)")
    workers[place].ending = (successful, reason)
    // What it has sent goes out first, for a bounded time.
    guard workers[place].route != nil, !workers[place].link.hasSentAll else { return close(place) }
    events.add(
      .workerClose(place: place, life: workers[place].life), at: now + scenario.transport.drainSeconds)
  }

  func close(_ place: Int) {
    guard let (successful, reason) = workers[place].ending else { return }
    workers[place].ending = nil
    endWorker(place, flushing: true)
    judge(exit: reason, successful, of: place)
    let plan = workers[place].plan
    // What cannot take part at all is not started again, unless it was not even heard.
    if plan.isStranger || plan.computesOtherwise, !reason.contains(Self.refusal) { return }
    // Whoever looks after that machine starts it again; the coordinator looks after its own.
    if !plan.isLocal { events.add(.workerStart(place: place), at: now + 5) }
  }

  /// Whether a worker may end for this reason.
  private func judge(exit reason: String, _ successful: Bool, of place: Int) {
    let plan = workers[place].plan
    if reason.contains(Self.refusal) {
      if plan.key == nil { problem("worker \(place) has no key, and is refused for it") }
      return outcome.count("worker without an allowed key gives up")
    }
    if plan.computesOtherwise || plan.isStranger {
      return judgeUseless(exit: reason, successful, plan.isStranger ? "stranger" : "unsound machine")
    }
    if liars.contains(workers[place].identity),
      reason.contains("is not the one") || reason.contains("is not what")
        || reason.contains("wrong result")
    {
      outcome.count("liar sent away")
    } else {
      outcome.count(successful ? "worker exits" : "worker gives up")
    }
    if plan.alters > 0 || plan.altersHello > 0 { outcome.count("hostile worker exits") }
    if plan.ownModel != nil, reason.contains("its model folder") {
      outcome.count("worker of another model turned away")
    } else if !successful, !liars.contains(workers[place].identity),
      !reason.contains("no coordinator answered"), !reason.contains("takes no workers")
    {
      problem("worker \(place) exits: \(reason)")
    }
  }

  private func judgeUseless(exit reason: String, _ successful: Bool, _ name: String) {
    if successful { return }
    // As any worker may that finds no coordinator for so long, or has a key that has its number of workers.
    if reason.contains("no coordinator answered") || reason.contains("of the key") {
      return outcome.count("worker gives up")
    }
    if !reason.contains(name == "stranger" ? "numeric profile" : "probe") {
      problem("the \(name) exits with: \(reason)")
    }
    outcome.count("\(name) refused")
  }
}

/// A run that wants workers, as the fleet knows it.
struct FleetRun: Sendable {
  /// Its work.
  @Indirect var scheduler: ShardScheduler
  /// When its scheduler wants to be told of the time.
  private(set) var deadline = Instant.never

  init(scheduler: ShardScheduler) { self.scheduler = scheduler }

  /// Takes one event and says what is to be done.
  ///
  /// - Parameter trust: what is known of identities, which the scheduler may change.
  mutating func step(_ event: SchedulerEvent, _ trust: inout Trust, now: Instant) -> [SchedulerEffect] {
    swap(&trust, &scheduler.trust)
    defer { swap(&trust, &scheduler.trust) }
    let said = scheduler.step(event, now: now)
    if !event.isSignOfLife { deadline = scheduler.nextDeadline(now: now) }
    return said
  }
}

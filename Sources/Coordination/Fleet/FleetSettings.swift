/// What a fleet depends on. Times are in seconds.
public struct FleetSettings: Sendable, Equatable {
  /// Makes session ids differ between processes; from the operating system's random source.
  public var sessionSeed: UInt64
  /// Workers beyond this are turned away.
  public var maximumWorkers = 1024
  /// Workers of one key beyond this are turned away, so that one key cannot take all the places.
  public var maximumWorkersOfKey = 64
  /// How often a worker says that it is there.
  public var heartbeatSeconds = 1.0
  /// A worker that was not heard for so long is lost.
  public var silenceSeconds = 6.0
  /// How long workers may take to leave once they are sent away.
  public var drainSeconds = 5.0

  public init(sessionSeed: UInt64) { self.sessionSeed = sessionSeed }
}

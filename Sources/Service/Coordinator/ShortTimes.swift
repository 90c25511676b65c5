import Coordination

extension Failpoints {
  /// Sets the time limits that a test does not want to wait for.
  func shorten(_ settings: inout CoordinatorSettings) {
    if let seconds = number(.leaseFloor) { settings.leaseFloorSeconds = seconds }
    if let seconds = number(.leaseInitial) { settings.initialLeaseSeconds = seconds }
    if let seconds = number(.silence) { settings.silenceSeconds = seconds }
    if let seconds = number(.noWorkers) { settings.noWorkerSeconds = seconds }
  }
}

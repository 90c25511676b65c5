import Coordination
import Transport

extension Failpoints {
  /// Sets the time limits that a test does not want to wait for.
  func shorten(_ settings: inout SchedulerSettings) {
    if let seconds = number(.leaseFloor) { settings.leaseFloorSeconds = seconds }
    if let seconds = number(.leaseInitial) { settings.initialLeaseSeconds = seconds }
    if let seconds = number(.backupFloor) { settings.backupFloorSeconds = seconds }
    if let seconds = number(.load) { settings.loadSeconds = seconds }
    if let seconds = number(.noWorkers) { settings.noWorkerSeconds = seconds }
  }

  func shorten(_ settings: inout FleetSettings) {
    if let seconds = number(.silence) { settings.silenceSeconds = seconds }
  }

  /// How the sockets behave.
  var transportOptions: TransportOptions {
    var options = TransportOptions()
    if let minor = number(.protocolMinor).flatMap({ UInt8(exactly: $0) }) { options.limits.minor = minor }
    if let bytes = number(.transferInline) { options.transfers.inlineBytes = Int(bytes) }
    if let bytes = number(.transferWindow) { options.transfers.windowBytes = Int(bytes) }
    if let seconds = number(.transferStall) { options.transfers.stallSeconds = seconds }
    return options
  }
}

import WireProtocol

/// A fault that can be asked for, or a time limit that a test can shorten.
enum Failpoint: String, CaseIterable, Sendable {
  // In a worker.
  /// The process is killed when ASSIGN has come, before it is answered.
  case exitAccept = "exit.accept"
  /// Killed as soon as it computes.
  case exitCompute = "exit.compute"
  /// Killed while its result goes out.
  case exitUpload = "exit.upload"
  /// Killed once its result is out, before the answer is read.
  case exitUploaded = "exit.uploaded"
  /// The arithmetic stands still, while the socket's thread goes on.
  case computeHang = "compute.hang"
  /// The process stops itself, as by SIGSTOP, when it begins to compute.
  case computeStop = "compute.stop"
  /// Every micro-batch takes so many times as long.
  case computeSlow = "compute.slow"
  /// Every micro-batch takes so many seconds longer.
  case computeDelay = "compute.delay"
  /// Every micro-batch takes longer by a random time of up to so many seconds.
  case computeJitter = "compute.jitter"
  /// The shards of this step cannot be computed.
  case computePoison = "compute.poison"
  /// A gradient is finite, and wrong.
  case gradientWrong = "gradient.wrong"
  /// A gradient holds a number that is none.
  case gradientNaN = "gradient.nan"
  /// A chain of a window is wrong, while the gradients that go into it are right.
  case chainWrong = "chain.wrong"
  /// A result is not sent.
  case resultDrop = "result.drop"
  /// The base model is fetched even if it is on this machine.
  case modelFetch = "model.fetch"
  /// Every chunk of it takes so many seconds longer.
  case modelDelay = "model.delay"
  /// It is not asked for, and waited for all the same.
  case modelHang = "model.hang"
  /// The numeric profile that the worker claims.
  case numericProfile = "numeric-profile"
  /// The minor version of the protocol that the program speaks; a later one than its own adds a field to each message.
  case protocolMinor = "protocol.minor"

  // In the process that writes texts for a service.
  /// Every token takes so many seconds longer.
  case textDelay = "text.delay"

  // In the process that makes another form of a checkpoint for a service.
  /// It begins so many seconds later.
  case exportDelay = "export.delay"

  // In a coordinator.
  /// Killed before it makes something durable.
  case exitPersist = "exit.persist"
  /// Killed before it sends a message.
  case exitSend = "exit.send"
  /// The sum of a step's gradients is wrong, while all that came of workers is right.
  case reductionWrong = "reduction.wrong"
  /// Seconds in place of `leaseFloorSeconds`.
  case leaseFloor = "lease.floor"
  /// Seconds in place of `initialLeaseSeconds`.
  case leaseInitial = "lease.initial"
  /// Seconds in place of `backupFloorSeconds`.
  case backupFloor = "backup.floor"
  /// Seconds in place of `loadSeconds`.
  case load = "load"
  /// The seed by which shards are chosen that are computed twice, in place of a random one.
  case verifySeed = "verify.seed"
  /// Seconds in place of `noWorkerSeconds`.
  case noWorkers = "no-workers"
  /// Seconds that a run waits for a disk that is full or broken.
  case diskPause = "disk.pause"
  /// Seconds that a call on the ledger waits for another program that holds it.
  case ledgerBusy = "ledger.busy"

  // In both.
  /// Seconds in place of `silenceSeconds`.
  case silence
  /// Bytes of objects from which on a message is transferred, in place of `inlineBytes`, and the window's bytes.
  case transferInline = "transfer.inline"
  case transferWindow = "transfer.window"
  /// Seconds in place of `stallSeconds`.
  case transferStall = "transfer.stall"

  /// What may be given for a failpoint.
  enum Value: Sendable, Equatable {
    case nothing
    case number(Double)
    case word(String)
  }

  enum Kind {
    case event
    case number(ClosedRange<Double>)
    case word

    /// Nil if the text is not of this kind.
    func read(_ text: String?) -> Value? {
      switch (self, text) {
      case (.event, nil): .nothing
      case (.number(let range), let text?):
        Double(text).flatMap { range.contains($0) ? .number($0) : nil }
      case (.word, let text?): text.isEmpty ? nil : .word(text)
      default: nil
      }
    }

    var form: String {
      switch self {
      case .event: ", without a value"
      case .number(let range): "=NUMBER, from \(range.lowerBound) to \(range.upperBound)"
      case .word: "=WORD"
      }
    }
  }

  var kind: Kind {
    switch self {
    case .exitAccept, .exitCompute, .exitUpload, .exitUploaded, .computeHang, .computeStop, .gradientWrong,
      .gradientNaN, .chainWrong, .reductionWrong, .resultDrop, .modelFetch, .modelHang, .exitPersist,
      .exitSend:
      .event
    case .computeSlow: .number(1...1000)
    case .computeDelay, .computeJitter, .modelDelay, .textDelay, .exportDelay: .number(0...3600)
    case .computePoison: .number(1...1e9)
    case .protocolMinor: .number(0...255)
    case .leaseFloor, .leaseInitial, .backupFloor, .load, .noWorkers, .diskPause, .ledgerBusy, .silence,
      .transferStall:
      .number(0.1...86_400)
    case .transferInline, .transferWindow: .number(0...1e10)
    case .verifySeed: .number(0...1e15)
    case .numericProfile: .word
    }
  }

  /// Whether it happens at passes that can be counted; a setting holds at all times.
  var happens: Bool {
    if case .event = kind { return true }
    return self == .computePoison
  }
}

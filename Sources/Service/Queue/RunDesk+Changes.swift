import Coordination
import Files
import JSON
import Ledger
import Training
import WireProtocol

/// What is to be done with runs.
extension RunDesk {
  /// Puts a new run into the queue.
  ///
  /// - Parameter config: of the run, as an object, with absolute paths.
  public func start(name: String, config: JSONValue) throws {
    try change { state in
      guard state.index(of: name) == nil, FileSystem.kind(folder(of: name)) == nil else {
        throw RunRequestError(
          .conflict, "there is a run with the name \(name) already", field: "experiment_name",
          hint: "resume it, or choose another name")
      }
      try Self.checkRoom(state)
      state.failures.removeAll { $0.name == name }
      state.places.append(
        Place(entry: QueueEntry(name: name, config: config, submitted: Timestamp.now().text)))
      return { self.enter(name, &$0) }
    }
  }

  /// Has a run end between two steps, so that it can be resumed.
  public func stop(_ name: String) throws {
    try change { state in
      guard let index = state.index(of: name) else { throw notInQueue(name, what: "stopped") }
      guard state.places[index].number != nil else {
        state.places.remove(at: index)
        return { _ in }
      }
      state.places[index].entry.isStopping = true
      return { [post] state in
        guard let number = state.number(of: name) else { return }
        post { try $0.stop(run: number) }
      }
    }
  }

  /// Has a run rest between two steps; it leaves its workers to others, and stays so after a restart of the service.
  public func pause(_ name: String) throws {
    try change { state in
      guard let index = state.index(of: name) else {
        if try tellOther(.pause, name) { return { _ in } }
        throw notInQueue(name, what: "paused")
      }
      state.places[index].entry.isPaused = true
      return { [post] state in
        guard let number = state.number(of: name) else { return }
        post { try $0.pause(run: number) }
      }
    }
  }

  /// Has a run go on that rests; or one that ended before its last step, from its last snapshot.
  public func resume(_ name: String) throws {
    try change { state in
      if let index = state.index(of: name) {
        guard state.places[index].isResting, !state.places[index].entry.isStopping else {
          throw RunRequestError(
            .conflict, "\(name) is not paused", hint: "it is at work, or waits for its turn")
        }
        state.places[index].entry.isPaused = false
        return { [post] state in
          guard let number = state.number(of: name) else {
            self.enter(name, &state)
            // It has kept its place among those that wait.
            return self.tellOrder(state)
          }
          post { try $0.resume(run: number) }
        }
      }
      if try tellOther(.resume, name) { return { _ in } }
      try checkGoesOn(name)
      try Self.checkRoom(state)
      let entry = QueueEntry(name: name, config: .null, submitted: Timestamp.now().text)
      state.places.append(Place(entry: entry))
      return { self.enter(name, &$0) }
    }
  }

  /// Puts these runs, which wait, before all others that wait, in this order.
  ///
  /// - Throws: `RunRequestError` about `order` if one of them stands there twice, or is not known, or does not wait.
  public func putFirst(_ names: [String]) throws {
    try change { state in
      let waiting = Set(state.waiting.map(\.entry.name))
      do throws(QueueOrderError) {
        state.order(
          by: try QueueOrder.putFirst(
            names, in: state.places.map(\.entry.name), isWaiting: waiting.contains))
      } catch { throw orderError(names[error.index], error.kind, state) }
      return { self.tellOrder($0) }
    }
  }

  private func orderError(
    _ name: String, _ kind: QueueOrderError.Kind, _ state: State
  ) -> RunRequestError {
    if kind == .twice {
      return RunRequestError(.invalid, "\(name) stands twice in the order", field: "order")
    }
    guard let index = state.index(of: name) else {
      guard RecordedRun.isOne(folder(of: name)) else {
        return RunRequestError(.unknown, "there is no run \(name)", field: "order")
      }
      return RunRequestError(
        .conflict, "\(name) is not in the queue", field: "order", hint: "resume it, and it waits again")
    }
    return state.places[index].isResting
      ? RunRequestError(.conflict, "\(name) rests", field: "order", hint: "resume it first")
      : RunRequestError(
        .conflict, "\(name) has begun already", field: "order", hint: "name those that still wait")
  }

  /// Has the fleet keep the order of those that wait.
  private func tellOrder(_ state: State) {
    let numbers = state.waiting.compactMap(\.number)
    post { $0.queue.putFirst(numbers) }
  }

  /// Deletes a run that nobody is at, with everything that its folder holds; or forgets one that could not begin.
  public func delete(_ name: String) throws {
    try change { state in
      guard state.index(of: name) == nil else {
        throw RunRequestError(.conflict, "\(name) is in the queue", hint: "stop it first")
      }
      let isFailure = state.failures.contains { $0.name == name }
      state.failures.removeAll { $0.name == name }
      guard RecordedRun.isOne(folder(of: name)) else {
        guard isFailure else { throw notInQueue(name, what: "deleted") }
        return { _ in }
      }
      guard RunFolder.isHeld(folder(of: name)) == false else {
        throw RunRequestError(.conflict, "another coordinator is at \(name)", hint: "stop it there first")
      }
      do {
        // It is gone from the list at once, and what a crash leaves of it no longer looks like a run.
        let gone = folder + "/\(Self.deletedPrefix)\(UInt64.random(in: 0...UInt64.max))"
        try FileSystem.rename(folder(of: name), to: gone)
        return { [writer] _ in writer.async { try? FileSystem.remove(gone) } }
      } catch { throw RunRequestError(.unavailable, "\(name) could not be deleted: \(error)") }
    }
  }

  /// Gives a run that nobody is at another name, which is that of its folder.
  public func rename(_ name: String, to new: String) throws {
    try change { state in
      for taken in [name, new] where state.index(of: taken) != nil {
        throw RunRequestError(
          .conflict, "\(taken) is in the queue", field: "experiment_name", hint: "stop it first")
      }
      guard RecordedRun.isOne(folder(of: name)) else { throw notInQueue(name, what: "renamed") }
      guard FileSystem.kind(folder(of: new)) == nil else {
        throw RunRequestError(
          .conflict, "there is a run with the name \(new) already", field: "experiment_name",
          hint: "choose another name")
      }
      guard RunFolder.isHeld(folder(of: name)) == false else {
        throw RunRequestError(.conflict, "another coordinator is at \(name)", hint: "stop it there first")
      }
      do {
        try FileSystem.rename(folder(of: name), to: folder(of: new))
        try FileSystem.syncFolder(folder)
      } catch { throw RunRequestError(.unavailable, "\(name) could not be renamed: \(error)") }
      state.failures.removeAll { $0.name == new }
      return { _ in }
    }
  }

  // MARK: - What keeps it from being done

  /// Tells another coordinator on this machine that is at the run, if there is one.
  private func tellOther(_ command: Control.Command, _ name: String) throws -> Bool {
    guard RecordedRun.isOne(folder(of: name)) else { return false }
    do { return try StatusClient.tell(command, folder: folder(of: name)) != nil } catch {
      throw RunRequestError(.conflict, "the coordinator that is at \(name) does not do it: \(error)")
    }
  }

  private func notInQueue(_ name: String, what: String) -> RunRequestError {
    guard RecordedRun.isOne(folder(of: name)) else {
      return RunRequestError(.unknown, "there is no run \(name)", field: "experiment_name")
    }
    if RunFolder.isHeld(folder(of: name)) == true {
      return RunRequestError(
        .conflict, "another coordinator is at \(name)", hint: "it is \(what) where that was started")
    }
    return RunRequestError(.conflict, "\(name) is not at work, so it cannot be \(what)")
  }

  private func checkGoesOn(_ name: String) throws {
    guard RecordedRun.isOne(folder(of: name)) else {
      throw RunRequestError(.unknown, "there is no run \(name)", field: "experiment_name")
    }
    if RunFolder.isHeld(folder(of: name)) == true {
      throw RunRequestError(.conflict, "another coordinator is at \(name)", hint: "stop it there first")
    }
    let status: FolderStatus
    do { status = try FolderStatus(folder: folder(of: name)) } catch {
      throw RunRequestError(.conflict, "\(name) cannot be read: \(error)")
    }
    if let reason = status.completion {
      throw RunRequestError(.conflict, "\(name) is finished: \(reason)", hint: "start a new run")
    }
  }
}

import Coordination

/// The real files are held to the plain model of them: what was acknowledged is there, and of what was not, all or
/// nothing of each transaction.
extension SimulatedStore {
  /// Finds the state that the files are in, and makes the model that.
  ///
  /// - Returns: what is wrong with the files; nil if they are in a state that they may be in.
  func match(_ disk: inout SimulatedDisk) throws -> String? {
    let view = try view()
    let states = [disk] + underWay
    let known = Set(states.flatMap { $0.snapshots.map(\.step) })
    guard let found = states.last(where: { difference(view, $0, known) == nil }) else {
      let differences = states.map { difference(view, $0, known) ?? "" }
      return "the files are in none of \(states.count) states: \(differences.joined(separator: "; "))"
    }
    let snapshots = states.flatMap(\.snapshots)
    let term = disk.term
    disk = found
    disk.begin(term: term)
    disk.follow(view, snapshots: snapshots)
    (underWay, rowsUnderWay, quarantinedUnderWay) = ([], [:], [])
    return nil
  }

  /// What of the files is not as a state has it, but for rows, which may have come with a write that was refused later.
  private func difference(_ view: StoreView, _ state: SimulatedDisk, _ known: Set<Int>) -> String? {
    if !state.hasSteps(view.steps) { return "there are \(view.steps.count) steps, or others" }
    if view.evaluations.mapValues(\.bitPattern) != state.evaluations.mapValues(\.bitPattern) {
      return "the evaluations are those after \(view.evaluations.keys.sorted())"
    }
    if view.plans != state.plans { return "the tier plans begin at the steps \(view.plans)" }
    if view.bestStep != state.best.step { return "the best step is \(view.bestStep), not \(state.best.step)" }
    for (step, shards) in view.shards where shards != state.shards[step] {
      return "the shards of step \(step) are \(shards), not \(state.shards[step] ?? [])"
    }
    // Those that are damaged may be there still, or not any more.
    let newest = state.snapshots.prefix(2).map(\.step).filter { !damaged.contains($0) }
    let sound = view.snapshots.filter { !damaged.contains($0) }
    if newest.first.map({ $0 != sound.first }) ?? (state.snapshots.isEmpty && !sound.isEmpty)
      || !sound.contains(newest.last)
      || !known.isSuperset(of: view.snapshots)
    {
      return "the snapshots are those of \(view.snapshots), not \(newest)"
    }
    let quarantined = Set(state.quarantined)
    if !view.quarantined.isSuperset(of: quarantined)
      || !quarantined.union(quarantinedUnderWay).isSuperset(of: view.quarantined)
    {
      return "in quarantine are \(view.quarantined.sorted())"
    }
    return difference(view.rows, state.rows)
  }

  private func difference(
    _ found: [SimulatedDisk.Row.Key: SimulatedDisk.Row], _ rows: [SimulatedDisk.Row.Key: SimulatedDisk.Row]
  ) -> String? {
    for (key, row) in rows where found[key] != row {
      return "attempt \(key.attempt) of term \(key.term) is \(found[key].map { "\($0)" } ?? "not there")"
    }
    for (key, row) in found where rows[key] == nil && rowsUnderWay[key] != row {
      return "attempt \(key.attempt) of term \(key.term) is there"
    }
    return nil
  }
}

extension [Int] {
  fileprivate func contains(_ step: Int?) -> Bool { step.map { step in contains { $0 == step } } ?? true }
}

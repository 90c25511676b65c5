import Training

/// Where a run goes back to.
package enum ReturnPoint {
  /// The latest snapshot before `step` whose best checkpoint is still there, or will be written again; 0 without one.
  ///
  /// - Parameters:
  ///   - present: the step of the best checkpoint that is there; 0 if none is.
  ///   - snapshots: newest first.
  package static func step(
    before step: Int, bestCheckpoint present: Int,
    snapshots: some Sequence<(step: Int, progress: RunProgress)>
  ) -> Int {
    for (snapshot, progress) in snapshots where snapshot < step {
      let isThere = present <= snapshot
      let comesAgain = progress.savedBestStep == 0 || progress.savedBestStep < progress.bestStep
      if isThere || comesAgain { return snapshot }
    }
    return 0
  }
}

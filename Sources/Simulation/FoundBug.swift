/// What simulation has found. The seeds are run again for ever; a seed whose scenario has changed since, because
/// scenarios have come to know more faults, still is a seed like any other.
public struct FoundBug: Sendable {
  public let seed: UInt64
  /// Whether it was found in a run with real files, in which the seed has to be run again.
  public var withFiles = false
  /// What went wrong, and what was done about it.
  public let story: String

  public static let all: [FoundBug] = [
    FoundBug(
      seed: 11,
      story: """
        READY was lost within a live connection: the run waited for 600 s and failed. Sequence numbers may have no gap \
        now, and the coordinator answers a message that it refuses, so that the worker joins again at once.
        """),
    FoundBug(
      seed: 216,
      story: """
        The wait for local workers was over and no worker was left: the coordinator's timer was set to the past again \
        and again. It waits for the first worker now.
        """),
    FoundBug(
      seed: 65,
      story: """
        A flipped bit in a HELLO's version was answered by REJECT version, which ended the worker for good. A version \
        is believed only with the right checksum.
        """),
    FoundBug(seed: 80, story: "As 65, in the minor version."),
    FoundBug(seed: 98, story: "As 65, in the major version of a later message."),
    FoundBug(seed: 102, story: "As 65, in the highest bit."),
    FoundBug(
      seed: 118_003,
      story: """
        A gradient was computed again by a worker that told a wrong loss and by an honest one. The word of the chain's \
        owner, which says nothing of losses, was counted for whoever came first, so that the honest one was outvoted. \
        What is computed again is compared by its gradients alone now.
        """),
    FoundBug(seed: 105_346, story: "As 118,003."),
    FoundBug(seed: 106_580, story: "As 118,003."),
    FoundBug(
      seed: 103_993,
      story: "As 118,003: both were right in the gradient; the run was stopped, since their losses differed."),
    FoundBug(
      seed: 165_403,
      story: """
        A worker was found to have sent a wrong chain, and nothing of it was in committed steps: the step was computed \
        again, but the core's book of windows had already noted what the first try had brought. The windows are taken \
        from the last snapshot now.
        """),
    FoundBug(seed: 136_861, story: "As 165,403: a step could not be applied."),
    FoundBug(seed: 165_577, story: "As 165,403: an honest worker's sum was taken for a wrong one."),
    FoundBug(
      seed: 2324,
      story: """
        A machine that failed at every shard ended the run within seconds while an honest worker was busy: failures were \
        counted by shard, whoever caused them, and the failing one was given the same shard again. They are counted by \
        identity now, and a shard that failed goes to others first.
        """),
    FoundBug(seed: 4020, story: "As 2324."),
    FoundBug(seed: 4944, story: "As 2324."),
    FoundBug(seed: 1036, story: "As 2324, by losses of connections."),
    FoundBug(
      seed: 1041,
      story: """
        One gradient that was not finite, with a finite loss, ended the run and named no worker. It is found when it \
        comes, and its worker's failure.
        """),
    FoundBug(seed: 1160, story: "As 1041."),
    FoundBug(
      seed: 100_682,
      story: """
        The simulation was wrong, not the run: a worker made a wrong chain in a hand-out whose result agreed with \
        another's and did not count, kept it, and was asked for it later. Lies are noted now where wrong bytes leave a \
        worker.
        """),
    FoundBug(
      seed: 103, withFiles: true,
      story: """
        Hand-outs were recorded, and then the snapshot that they came along with failed: when the same was tried again, \
        the ledger refused to record them twice, and the run failed.
        """),
    FoundBug(seed: 99, withFiles: true, story: "As 103, with the tiers, and with workers that had joined."),
    FoundBug(
      seed: 545, withFiles: true,
      story: """
        The folder for a run's folder was made, and syncing its name failed. The next start found it there, synced \
        nothing, and two steps later the power failed: everything was gone. The name of a folder that is there is synced \
        now like that of a new one.
        """),
    FoundBug(seed: 1390, withFiles: true, story: "As 545, with the run's folder itself."),
    FoundBug(
      seed: 359, withFiles: true,
      story: """
        A sync of the ledger's log failed, and the process was killed; the next one saw all of the log, though the disk \
        had only parts of it, and began to empty it into the database. When the power failed then, the database was \
        damaged for good. The log is written anew before SQLite sees it.
        """),
    FoundBug(
      seed: 202_194, withFiles: true,
      story:
        "As 359: a start that could not write the log anew must not leave it to SQLite either, which empties it on closing."
    ),
    FoundBug(
      seed: 200_262, withFiles: true,
      story: """
        A sync failed while it was written down who had come and gone, which nobody waits for: the ledger was not opened \
        anew, its log had a hole, and eight steps that were committed after it were gone with the power. A ledger whose \
        write has failed opens itself anew before the next one.
        """),
    FoundBug(
      seed: 90,
      story: """
        A worker that had the model of a run which still waited in the queue was sent away for good, as no run at work \
        had that model. While runs wait, a worker that fits none of the others stays.
        """),
    FoundBug(
      seed: 187,
      story: """
        A run failed between a step's computation and its commit, and recorded the hand-outs of the step as committed. What \
        a unit came to is recorded with its commit alone.
        """),
    FoundBug(
      seed: 900_470,
      story: """
        Three runs had a worker each, and each was in a replay that two workers had to agree on: all waited for a second \
        worker for 600 s, and failed. A run that cannot go on without one gets it of the last runs, which wait meanwhile.
        """),
    FoundBug(seed: 902_133, story: "As 900470, with runs of which one had failed."),
    FoundBug(
      seed: 1_100_475,
      story: """
        A worker that asked for a piece of the base model while its connection took nothing gave up the run for good. It \
        joins again now, as with every other message, and goes on with what has come.
        """),
    FoundBug(
      seed: 4_001_155,
      story: """
        As 900470, one worker later: two of a run had come to different results, and a third was lacking, while other \
        runs had workers that waited as well.
        """),
    FoundBug(
      seed: 4_005_446,
      story: """
        A worker that said HELLO again was heard by the fleet, and its run went on to show it as silent.
        """),
    FoundBug(
      seed: 3_015_368,
      story: """
        The lease of a worker was over that might send its result and did not: nobody but one that computes was judged \
        when its time was over, and the timer was set to that moment again and again. Who has offered a result is judged \
        like who computes.
        """),
    FoundBug(
      seed: 3_014_335,
      story: """
        What was written of who came and went failed, and the next write was on its way already: its hand-outs were of \
        workers that the ledger did not know, and the run failed. A write takes along what is on the way before it.
        """),
    FoundBug(
      seed: 665_097_419_334,
      story: """
        A ledger that could not be opened anew after a failed write was read before it was written again, and reading did \
        not try to open it.
        """),
    FoundBug(
      seed: 3_017_637,
      story: """
        Going back failed once the ledger had gone back: the second try found nothing to do, and nobody was told of the \
        return. The record of returns says what is to be told.
        """),
    FoundBug(
      seed: 5_010_090,
      story: """
        On a link of 10 KB/s an offer of 70 KB took longer than a worker may be silent, and its PINGs waited behind it: it \
        was lost before each of its results. Bytes of a message that is not whole yet are a sign of life, and are answered.
        """),
    FoundBug(
      seed: 271_452_509_352,
      story:
        "Late attempts of many are looked for now and then: a timer that came in between was set again at once."
    ),
    FoundBug(
      seed: 9_003_167,
      story: """
        A worker that fitted none of two runs counted as one run's share, so that this one did not wait for its turn while \
        the other had the only worker that fitted, but for a worker, for 600 s, and failed.
        """),
    FoundBug(
      seed: 9_059_474,
      story: """
        The simulation was wrong, not the run: the time that it gave the rest of a run did not count the trials of an \
        adapter's scales, up to 19 evaluations, on the one slow worker that was left.
        """),
    FoundBug(
      seed: 9_000_860,
      story: """
        The simulation was wrong, not the run: the trials of an adapter's scales after training were taken for the \
        evaluation after the last step, which there is none of where the slowest copy has not followed since the last one.
        """),
    FoundBug(
      seed: 9_064_677,
      story: """
        A worker said a loss of what it only had to hand over, windows. The loss was compared with that of another worker's \
        windows, each was asked for its own again, and "another worker" was to decide, of which there is none: for ever. \
        Who computes nothing has no loss, and says none.
        """),
    FoundBug(
      seed: 9_406_750,
      story: """
        A worker that was to go to another run, and whose result was still on its way over a slow link, was said to be \
        ready, for as long as that took: it gets no work, as it has something in hand. Its state says so now.
        """),
    FoundBug(
      seed: 2_200_568,
      story: """
        A shard was chosen by lot to be computed twice, and the only other worker failed at it again and again: the run \
        waited for that one to succeed, for ever, and was no poisoned shard's, as one had computed it. It went unseen as \
        machines that fail were mended together with all other faults; now one may go on failing. What is chosen by lot is \
        waived then, and what has to be computed twice waits for another worker by name, and not for ever.
        """),
    FoundBug(seed: 2_200_063, story: "As 2,200,568, while the other was left alone for ever longer times."),
    FoundBug(
      seed: 2_306_584,
      story: """
        A worker lied in a replay, and no parameter was another by it: Adam's first step goes by signs. The snapshot after \
        it held wrong moments, was damaged, and the next replay, which was right, no longer came to what later steps were \
        committed with: the run failed for good. Each shard of a replay is held to the record of its step now, before \
        anything is made of it.
        """),
    FoundBug(
      seed: 7_006_033,
      story: """
        Two liars computed all of a step, so that the run rightly ended as one whose arithmetic has changed. The simulation \
        took it for an error, since it also counted those who had computed the step again, in a later term.
        """),
    FoundBug(
      seed: 91_004_900,
      story: """
        The best checkpoint was written, and the disk failed as it was recorded. After the next start the record still named \
        the one before; the newest snapshot was damaged, and the replay, which took a checkpoint other than the recorded one \
        for none, put the best of an early step in its place: worse than what was there, until the replay came to its end. \
        One that is ahead of the record stays now, if its evaluation is on the record.
        """),
    FoundBug(
      seed: 93_057_179,
      story: """
        A sync of the write-ahead log failed in the first transaction since the ledger was opened anew, and the power in the \
        middle of opening it once more: the ledger was damaged for good. What the pool commits as it is opened is not synced \
        by itself, so that the log lacked a part of it, and the database had got half of a page. The log is written once \
        more now before anything of it is moved.
        """),
  ]
}

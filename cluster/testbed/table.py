#!/usr/bin/env python3
"""Prints what the tests of the fault matrix found.

Two sources: the xunit files of `swift test`, which know every test whose name begins with rowNN and how it ended, and
report.jsonl, to which the tests of Tests/FaultMatrixTests add their figures.
"""

import argparse
import glob
import json
import os
import re
import sys
import xml.etree.ElementTree

ROWS = {
    1: "worker SIGKILL before accept, computing, uploading, after upload before ACK",
    2: "SIGSTOP for 1× and 3× the lease, then SIGCONT",
    3: "compute hangs while the socket's thread lives",
    4: "all workers lost, one returns",
    5: "coordinator SIGKILL at every persist and send",
    6: "crash at the n-th fsync",
    7: "ENOSPC, EIO, failed fsync at the n-th write",
    8: "messages duplicated, lost, reordered, delayed (simulation)",
    9: "partition: both ways, one way, host by host",
    10: "connection reset or cut at each chunk",
    11: "every header bit flipped; payload flips",
    12: "wrong magic or version, oversize, negative lengths",
    13: "silently wrong gradient",
    14: "NaN or infinity",
    15: "a worker 8 × slower",
    16: "slow reader, 64 workers",
    17: "wall clock ± 1 h, backwards (simulation)",
    18: "two coordinators, one database",
    19: "unknown key, replay across sessions, 1,000 raw TCP connections",
    20: "another numeric profile joins",
    21: "SIGTERM, each role",
    22: "workers 1, 2, 3, 5, 8 × shard sizes × arrival orders",
    23: "rolling upgrade, minor version N−1 → N",
    24: "poison shard",
    25: "soak: cluster/testbed/soak.sh",
    26: "soak: 100,000 steps (simulation)",
    27: "one safety check removed at a time: cluster/testbed/mutations",
}


# Rows whose tests are not, or not all, named after them.
ELSEWHERE = {
    5: ["IntegrationTests.DiskTests/coordinatorIsBack"],
    6: ["LedgerTests.LedgerFaultTests/powerLoss", "ServiceTests.DiskFaultTests/"],
    7: ["LedgerTests.LedgerFaultTests/fault", "IntegrationTests.DiskTests/f"],
    8: ["SimulationTests.SeedTests/"],
    11: ["WireProtocolTests.FaultMatrixFlipTests/"],
    12: ["WireProtocolTests.FaultMatrixSizeTests/"],
    19: ["TransportTests.KeysTests/", "TransportTests.HostileTests/"],
}


def pattern(rows, processes):
    """What `swift test --filter` takes for some rows; for all if there are none."""
    rows = rows or list(ROWS)
    if processes:
        return "|".join("FaultMatrix/row%02d" % row for row in rows)
    return "|".join("/row%02d" % row for row in rows) + "".join("|" + part for row in rows for part in ELSEWHERE.get(row, []))


def row_of(test):
    """The row that a test belongs to, by its name in full; nothing if it is of another kind."""
    match = re.search(r"/row(\d\d)", test)
    if match:
        return int(match[1])
    return next((row for row, parts in ELSEWHERE.items() if any(re.search(part, test) for part in parts)), None)


def tests(folder):
    """(row, name, verdict, seconds) of every test of the matrix that ran."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "tests*.xml"))):
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            name = case.get("name", "").split("(")[0]
            row = row_of("%s/%s" % (case.get("classname"), name))
            if row is None:
                continue
            verdict = "passed"
            if case.find("failure") is not None:
                verdict = "FAILED"
            elif case.find("skipped") is not None:
                verdict = "skipped"
            found.append((row, name, verdict, float(case.get("time", 0))))
    return sorted(found)


def reports(folder):
    path = os.path.join(folder, "report.jsonl")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def merge(folder):
    """One entry for each test, with the figures that it reported, if it is one that does."""
    figures = {report["test"]: report for report in reports(folder)}
    entries = []
    for row, name, verdict, seconds in tests(folder):
        entry = {"row": row, "test": name, "fault": "%s: %s" % (ROWS[row], name), "verdict": verdict, "seconds": seconds}
        entry.update(figures.pop(name, {}))
        entries.append(entry)
    # A test that ended with its process is in no xunit file.
    for name, report in figures.items():
        entries.append(report | {"verdict": "passed" if report["passed"] else "FAILED"})
    return sorted(entries, key=lambda entry: (entry["row"], entry["test"]))


def shown(entry):
    """The columns of the table."""
    recovery = entry.get("recovery_seconds")
    same = entry.get("hash_equal")
    return [
        str(entry["row"]), entry["fault"], str(entry.get("injected", "")),
        "" if recovery is None else "%.2f s" % recovery,
        "" if same is None else "yes (%d)" % entry["hashes_compared"] if same else "NO",
        "%.1f" % entry["seconds"], entry["verdict"],
    ]


def table(entries, notes):
    lines = [["row", "fault", "made", "recovery", "hash equal", "seconds", "verdict"]] + [shown(e) for e in entries]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
        elif notes:
            entry = entries[number - 1]
            for note in [part[:600] for part in entry.get("notes", [])] + [ends(part) for part in entry.get("failures", [])]:
                print("       " + note.replace("\n", "\n       "))


def ends(text, head=600, tail=6000):
    """Of what a program said at length, the beginning and the end: what it did last tells more of why it failed."""
    return text if len(text) <= head + tail else text[:head] + "\n[…]\n" + text[-tail:]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="where run.sh has put the results")
    parser.add_argument("--pattern", type=int, nargs="*", help="the filter of swift test for these rows")
    parser.add_argument("--processes", action="store_true", help="of these, only the tests with real processes")
    parser.add_argument("--list", action="store_true", help="the rows of the matrix")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument("--brief", action="store_true", help="without the notes of each row")
    options = parser.parse_args()
    if options.list:
        for row, fault in ROWS.items():
            print("%2d  %s" % (row, fault))
        return 0
    if options.pattern is not None:
        print(pattern(options.pattern, options.processes))
        return 0
    entries = merge(options.folder)
    if options.format == "json":
        for entry in entries:
            print(json.dumps(entry, ensure_ascii=False))
    else:
        table(entries, notes=not options.brief)
    return 0 if entries and all(entry["verdict"] != "FAILED" for entry in entries) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times training steps beside PyTorch with PEFT, in turn, on the same machine, and prints one JSON object a
configuration: seconds of both (median and best), their ratio, and what fraction of the machine's peak was reached.

usage: compare_steps.py --models DIR --torch 'PYTHON SCRIPT' [--nl PROGRAM] [--seconds S] [--only f32|mixed] CONFIGURATION …

A configuration is MODEL:BATCHxTOKENS:THREADS, as Q:1x128:2. DIR/MODEL is a model's folder. SCRIPT takes --models,
--model, --dtype f32|bf16|bf16all|autocast, --threads, --batch, --seq and --budget, and prints one JSON object with
s_step (median), best and rss_mb. Of its mixed precisions the fastest counts.
"""

import argparse
import json
import subprocess
import sys

PEER_TYPES = {"f32": ["f32"], "mixed": ["bf16", "bf16all"]}
OWN_TYPES = {"f32": ["f32", "f32_tiles"], "mixed": ["bf16", "amx"]}


def run(command):
    """The last line that a command prints, as JSON; None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    print(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr[-300:]}", file=sys.stderr)
    return None


def own(options, model, batch, tokens, threads, precision):
    return run([
        options.nl, "bench", "step", "--model", f"{options.models}/{model}", "--batch", batch, "--seq", tokens,
        "--threads", threads, "--precision", precision, "--seconds", str(options.seconds), "--json"])


def peer(options, model, batch, tokens, threads, dtype):
    return run(options.torch.split() + [
        "--models", options.models, "--model", model, "--dtype", dtype, "--threads", threads, "--batch", batch,
        "--seq", tokens, "--budget", str(options.seconds)])


def compare(options, configuration, kind):
    model, shape, threads = configuration.split(":")
    batch, tokens = shape.split("x")
    where = (options, model, batch, tokens, threads)
    ours = {name: own(*where, name) for name in OWN_TYPES[kind]}
    theirs = {name: peer(*where, name) for name in PEER_TYPES[kind]}
    usual = min((result["s_step"] for result in theirs.values() if result), default=None)
    best = min((result["best"] for result in theirs.values() if result), default=None)
    report = {
        "configuration": configuration, "kind": kind,
        "peer": {
            n: r and {"seconds": r["s_step"], "best": r["best"], "rss_mb": r["rss_mb"]} for n, r in theirs.items()},
        "own": {},
    }
    for name, result in ours.items():
        if result:
            seconds = result["seconds_per_step"]
            report["own"][name] = {
                "seconds": round(seconds, 5), "rss_mb": round(result["peak_rss_mb"]),
                "gflops": round(result["gflops"], 1),
                "fraction_of_peak": round(result["fraction_of_peak"], 3), "isa": result["isa"],
                "best": round(result["best_seconds"], 5),
                "times_as_fast": usual and round(usual / seconds, 2),
                "times_as_fast_at_best": best and round(best / result["best_seconds"], 2)}
    print(json.dumps(report), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--models", required=True)
    parser.add_argument("--torch", required=True)
    parser.add_argument("--nl", default=".build/release/nl-tool")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=list(OWN_TYPES))
    parser.add_argument("configurations", nargs="+")
    options = parser.parse_args()
    for configuration in options.configurations:
        for kind in [options.only] if options.only else OWN_TYPES:
            compare(options, configuration, kind)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A soak: a long run whose workers are killed, stopped and cut off all the time, and what that costs.

Row 25 of the fault matrix. Every ten seconds one of: a worker is SIGKILLed (and started again five seconds later), a
worker is SIGSTOPped for three seconds, a worker's connection is reset. Before that, the same run without faults gives
the rate, and after it, the run of the same steps without faults gives the hash. It passes if

  - at least 97.7 % of the steps are committed that the undisturbed rate gives for the cores that were there:
    rate × the integral over time of min(cores, threads of live workers) / cores,
  - faults leave nothing behind in the coordinator: its resident memory in the last quarter is at most 4 MiB above that
    of the run without faults (a heap takes some thousands of steps to come to its size, with faults or without),
  - adapter and optimizer state have the SHA-256 of the run without faults.

With --coordinator-kills the coordinator is SIGKILLed as well, every --kill-every seconds, and resumed; it passes if
the run takes no longer than undisturbed + 10 s a kill, with the same hash.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(ROOT, ".build", "release")
EXAMPLE = os.path.join(ROOT, "examples", "quickstart")
CORES = len(os.sched_getaffinity(0))


def say(text):
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


def run(arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip()


class Run:
    """One training: a coordinator, its workers, and a proxy before each worker."""

    def __init__(self, folder, name, steps, workers):
        self.folder, self.name, self.steps, self.count = folder, name, steps, workers
        self.path = os.path.join(folder, name)
        self.log = open(os.path.join(folder, name + ".log"), "ab")
        self.coordinator = None
        self.address = None
        self.workers, self.proxies = {}, {}

    def config(self):
        with open(os.path.join(EXAMPLE, "quickstart.json"), encoding="utf-8") as file:
            config = json.load(file)
        config.update(
            base_model_path=os.path.join(EXAMPLE, "base"), output_path=self.folder, experiment_name=self.name,
            train_data_path=os.path.join(EXAMPLE, "genesis.jsonl"), num_steps=self.steps, inactive_gradients="sum",
            gradient_accumulation_steps=8, eval_every=10**6, checkpoint_every=10**6, lr_schedule="constant",
            learning_rate=1e-3)
        path = os.path.join(self.folder, self.name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path

    def start(self):
        # Coordinators started again listen on the same address.
        listen = ["--local-workers", "0", "--listen", self.address or "tcp://127.0.0.1:0"]
        command = ["resume", self.path] if os.path.exists(self.path) else ["train", "--config", self.config()]
        log = os.path.join(self.folder, "%s-%d.coordinator" % (self.name, time.monotonic_ns()))
        with open(log, "wb") as errors:
            self.coordinator = subprocess.Popen(
                [os.path.join(PROGRAMS, "nl-coord")] + command + listen, stdout=self.log, stderr=errors)
        deadline = time.monotonic() + 60
        while self.address is None:
            with open(log, encoding="utf-8") as file:
                found = re.search(r"listening on (tcp://\S+:\d+)", file.read())
            if found:
                self.address = found[1]
            elif self.coordinator.poll() is not None or time.monotonic() > deadline:
                with open(log, encoding="utf-8") as file:
                    raise SystemExit("the coordinator does not start: " + file.read())
            time.sleep(0.02)

    def start_worker(self, index):
        if index not in self.proxies:
            target = self.address.removeprefix("tcp://")
            proxy = subprocess.Popen(
                [os.path.join(HERE, "proxy.py"), "--connect", target], stdout=subprocess.PIPE, text=True)
            address = proxy.stdout.readline().removeprefix("listening on ").strip()
            self.proxies[index] = (proxy, "tcp://" + address)
        self.workers[index] = subprocess.Popen(
            [os.path.join(PROGRAMS, "nl-worker"), "--connect", self.proxies[index][1], "--threads", "1"],
            stdout=self.log, stderr=self.log)

    def begin(self):
        self.start()
        for index in range(self.count):
            self.start_worker(index)

    def step(self):
        """The last committed step, by the metrics."""
        try:
            with open(os.path.join(self.path, "metrics", "train_metrics.jsonl"), "rb") as file:
                file.seek(max(0, os.path.getsize(file.name) - 4096))
                return json.loads(file.read().split(b"\n")[-2])["step"]
        except (OSError, IndexError, ValueError, KeyError):
            return 0

    def resident(self):
        try:
            with open("/proc/%d/statm" % self.coordinator.pid, encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except OSError:
            return None

    def ended(self):
        return self.coordinator.poll() is not None

    def end(self):
        for process in [self.coordinator, *self.workers.values(), *(proxy for proxy, _ in self.proxies.values())]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.log.close()

    def hashes(self):
        adapters = sorted(
            os.path.join(folder, "adapters.safetensors")
            for folder, _, files in os.walk(os.path.join(self.path, "checkpoints")) if "adapters.safetensors" in files)
        with open(adapters[-1], "rb") as file:
            adapter = hashlib.sha256(file.read()).hexdigest()
        return adapter, run([os.path.join(PROGRAMS, "nl-coord"), "status", self.path, "--digest"])


class Watch(threading.Thread):
    """Samples the coordinator's memory and adds up the cores that live workers could use."""

    def __init__(self, training):
        super().__init__(daemon=True)
        self.training, self.samples, self.share = training, [], 0.0
        self.alive = set(range(training.count))
        self.over = threading.Event()
        self.begun = time.monotonic()

    def run(self):
        last = time.monotonic()
        while not self.over.wait(0.05):
            now = time.monotonic()
            self.share += (now - last) * min(CORES, len(self.alive)) / CORES
            last = now
            resident = self.training.resident()
            if resident and (not self.samples or now - self.samples[-1][0] >= 1):
                self.samples.append((now, resident))

    def mib(self):
        """Eleven of the samples, in MiB."""
        return [size >> 20 for _, size in self.samples[:: max(1, len(self.samples) // 10)]]

    def last_quarter(self):
        """The largest of the samples, in bytes."""
        return max((size for _, size in self.samples[len(self.samples) * 3 // 4:]), default=0)

    def slope(self):
        """Bytes a second, by least squares, from the second quarter on."""
        points = self.samples[len(self.samples) // 4:]
        if len(points) < 10:
            return 0.0
        times = [point[0] for point in points]
        sizes = [point[1] for point in points]
        middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
        spread = sum((t - middle) ** 2 for t in times)
        return sum((t - middle) * (s - mean) for t, s in zip(times, sizes)) / spread


class Faults:
    """Makes a fault every few seconds, and undoes it."""

    def __init__(self, training, watch, chooser, every):
        self.training, self.watch, self.chooser, self.every = training, watch, chooser, every
        self.counts = {"kill": 0, "stop": 0, "cut": 0}
        self.later = []
        self.next = time.monotonic() + every / 2

    def turn(self):
        now = time.monotonic()
        for item in [item for item in self.later if item[0] <= now]:
            self.later.remove(item)
            item[1]()
        if now < self.next:
            return
        self.next += self.every
        busy = [index for index in sorted(self.watch.alive)]
        if not busy:
            return
        index = self.chooser.choice(busy)
        kind = self.chooser.choice(sorted(self.counts))
        self.counts[kind] += 1
        getattr(self, kind)(index, now)

    def kill(self, index, now):
        self.watch.alive.discard(index)
        self.training.workers[index].kill()
        self.training.workers[index].wait()
        self.later.append((now + 5, lambda: self.back(index)))

    def back(self, index):
        self.training.start_worker(index)
        self.watch.alive.add(index)

    def stop(self, index, now):
        worker = self.training.workers[index]
        self.watch.alive.discard(index)
        worker.send_signal(signal.SIGSTOP)
        self.later.append((now + 3, lambda: (worker.send_signal(signal.SIGCONT), self.watch.alive.add(index))))

    def cut(self, index, now):
        self.training.proxies[index][0].send_signal(signal.SIGUSR1)


def undisturbed_rate(folder, workers, seconds):
    """Steps a second without faults, once the workers are at work."""
    training = Run(folder, "rate", 10**6, workers)
    training.begin()
    try:
        wait_for(training, 20, 120)
        begun, first = time.monotonic(), training.step()
        time.sleep(seconds)
        rate = (training.step() - first) / (time.monotonic() - begun)
    finally:
        training.end()
    return rate


def wait_for(training, step, seconds):
    deadline = time.monotonic() + seconds
    while training.step() < step:
        if training.ended() or time.monotonic() > deadline:
            raise SystemExit("step %d did not come; see %s" % (step, training.folder))
        time.sleep(0.05)


def reference(folder, steps, workers):
    """The same steps without faults: seconds, steps a second once at work, hashes, and its memory."""
    say("the same %d steps without faults" % steps)
    training = Run(folder, "reference", steps, workers)
    begun = time.monotonic()
    training.begin()
    try:
        wait_for(training, 20, 120)
        first, since = training.step(), time.monotonic()
        watch = Watch(training)
        watch.start()
        if training.coordinator.wait() != 0:
            raise SystemExit("the run without faults failed; see " + folder)
        rate = (steps - first) / (time.monotonic() - since)
        seconds = time.monotonic() - begun
        watch.over.set()
        watch.join()
        return seconds, rate, training.hashes(), watch
    finally:
        training.end()


def finish(training, folder):
    """Lets the run go on, undisturbed, until it is complete."""
    while not training.ended():
        time.sleep(0.1)
    if training.coordinator.returncode != 0:
        raise SystemExit("the disturbed run failed; see " + folder)


def soak(folder, options, chooser):
    say("measuring the undisturbed rate for %d s" % options.rate_seconds)
    rate = undisturbed_rate(folder, options.workers, options.rate_seconds)
    # The run is long enough for the time, and is then left alone to its end.
    steps = max(40, int(rate * options.minutes * 60 * 1.02))
    say("%.2f steps a second; %d steps with faults for %g minutes" % (rate, steps, options.minutes))
    training = Run(folder, "soak", steps, options.workers)
    training.begin()
    try:
        wait_for(training, 20, 120)
        watch = Watch(training)
        faults = Faults(training, watch, chooser, options.every)
        first = training.step()
        watch.start()
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end and not training.ended():
            faults.turn()
            time.sleep(0.02)
        seconds = time.monotonic() - watch.begun
        watch.over.set()
        watch.join()
        done = training.step() - first
        # Whatever was still stopped goes on.
        for _, undo in faults.later:
            undo()
        finish(training, folder)
        hashes = training.hashes()
    finally:
        training.end()
    # The same machine, before and after: whatever else it does is in both.
    _, later_rate, expected_hashes, quiet = reference(folder, steps, options.workers)
    mean_rate = (rate + later_rate) / 2
    expected = mean_rate * watch.share
    kept = done / expected if expected else 0
    result = {
        "mode": "workers", "seconds": seconds, "faults": faults.counts, "undisturbed_steps_per_second": [rate, later_rate],
        "expected_steps": expected, "committed_steps": done, "kept": kept,
        "coordinator_mib": watch.mib(), "undisturbed_coordinator_mib": quiet.mib(),
        "coordinator_kib_per_minute": watch.slope() * 60 / 1024,
        "undisturbed_kib_per_minute": quiet.slope() * 60 / 1024,
    }
    left = watch.last_quarter() - quiet.last_quarter()
    result["coordinator_kib_above_undisturbed"] = left >> 10
    result["hash_equal"] = hashes == expected_hashes
    result["passed"] = kept >= 0.977 and left <= 4 << 20 and result["hash_equal"]
    return result


def coordinator_kills(folder, options, chooser):
    say("measuring the undisturbed rate for %d s" % options.rate_seconds)
    rate = undisturbed_rate(folder, options.workers, options.rate_seconds)
    steps = max(40, int(rate * options.minutes * 60))
    seconds, _, expected_hashes, _ = reference(folder, steps, options.workers)
    say("%d steps took %.1f s without faults" % (steps, seconds))
    training = Run(folder, "soak", steps, options.workers)
    begun = time.monotonic()
    training.begin()
    kills, next_kill = 0, time.monotonic() + options.kill_every
    try:
        while True:
            if training.ended():
                if training.coordinator.returncode == 0:
                    break
                raise SystemExit("the coordinator failed; see " + folder)
            if time.monotonic() >= next_kill:
                next_kill += options.kill_every * chooser.uniform(0.7, 1.3)
                training.coordinator.kill()
                training.coordinator.wait()
                kills += 1
                training.start()
            time.sleep(0.05)
        taken = time.monotonic() - begun
        hashes = training.hashes()
    finally:
        training.end()
    return {
        "mode": "coordinator kills", "steps": steps, "kills": kills, "undisturbed_seconds": seconds,
        "seconds": taken, "limit_seconds": seconds + 10 * kills,
        "seconds_per_kill": (taken - seconds) / kills if kills else 0, "hash_equal": hashes == expected_hashes,
        "passed": hashes == expected_hashes and taken <= seconds + 10 * kills,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long faults are made (10)")
    parser.add_argument("--workers", type=int, default=8, help="how many workers, of one thread each (8)")
    parser.add_argument("--coordinator-kills", action="store_true", help="SIGKILL the coordinator instead")
    parser.add_argument("--every", type=float, default=10, help="seconds between faults (10)")
    parser.add_argument("--kill-every", type=float, default=30, help="seconds between coordinator kills, about (30)")
    parser.add_argument("--rate-seconds", type=float, default=60, help="how long the undisturbed rate is measured (60)")
    parser.add_argument("--seed", type=int, default=None, help="repeats the choices of a run that printed it")
    parser.add_argument("--keep", action="store_true", help="leave the runs where they are, for a look")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    say("--seed %d" % seed)
    folder = tempfile.mkdtemp(prefix="nl-soak-")
    mode = coordinator_kills if options.coordinator_kills else soak
    result = mode(folder, options, random.Random(seed))
    result["seed"] = seed
    print(json.dumps(result, indent=2))
    if options.keep or not result["passed"]:
        say("the runs are in " + folder)
    else:
        shutil.rmtree(folder)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

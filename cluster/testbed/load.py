"""What requests and streams cost `nl-coord serve`: see load.sh.

usage: load.py FOLDER_OF_PROGRAMS FIXTURES SECONDS

The requests are those of ten pages that are looked at: of each ten, five ask for the status, three for what is new in the
metrics, one for the list of runs, one for the run's own page. Each page has one connection, which it keeps.
"""
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

programs, fixtures, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
folder = tempfile.mkdtemp(prefix="nl-load-")
PATHS = ["status", "metrics?since=100&limit=100", "status", "experiments", "status", "metrics?since=100&limit=100", "status",
         "experiments/watched", "status", "metrics?since=100&limit=100"]
PAGES, STREAMS, RATE = 10, 50, 200


def own_seconds(process):
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(process):
    """Percents of a core."""
    began, used = time.monotonic(), own_seconds(process)
    await asyncio.sleep(seconds)
    return 100 * (own_seconds(process) - used) / (time.monotonic() - began)


async def stream(port, counts):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /nested-learning/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while piece := await reader.read(65536):
        counts["events"] += piece.count(b"event: status")


async def page(port, number, counts, times):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due, turn = time.monotonic() + number / RATE, number
    while True:
        await asyncio.sleep(max(0, due - time.monotonic()))
        due += PAGES / RATE
        path = PATHS[turn % len(PATHS)]
        turn += 1
        began = time.monotonic()
        writer.write(f"GET /nested-learning/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"{path}: {head[:100]}")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
        await reader.readexactly(length)
        times.append(time.monotonic() - began)


async def main(process, port):
    alone = await measure(process)
    counts, times = {"events": 0}, []
    tasks = [asyncio.create_task(stream(port, counts)) for _ in range(STREAMS)]
    await asyncio.sleep(2)
    streams = await measure(process)
    tasks += [asyncio.create_task(page(port, number, counts, times)) for number in range(PAGES)]
    await asyncio.sleep(2)
    times.clear()
    counts["events"] = 0
    both = await measure(process)
    broken = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    if broken:
        raise SystemExit(f"{len(broken)} connections were ended: {broken[0]}")
    times.sort()
    print(f"CPU of the service, percent of a core, over {seconds:.0f} s each: {alone:.1f} with the run alone, {streams:.1f} with "
          f"{STREAMS} streams, {both:.1f} with {len(times) / seconds:.0f} requests a second as well, so that they cost "
          f"{both - alone:.1f}; {counts['events'] / seconds:.0f} events a second, answers within "
          f"{1000 * times[len(times) // 2]:.1f} ms (median), {1000 * times[int(0.99 * len(times))]:.1f} ms (99 of 100)")


for part in ("models", "data", "runs"):
    os.makedirs(f"{folder}/{part}")
shutil.copytree(fixtures + "/models/qwen2_f32", folder + "/models/small")
shutil.copy(fixtures + "/data/train.jsonl", folder + "/data")
with open(folder + "/log", "wb") as log:
    service = subprocess.Popen(
        [programs + "/nl-coord", "serve", "--listen-http", "127.0.0.1:0", "--models", folder + "/models", "--data",
         folder + "/data", "--runs", folder + "/runs"], stdout=log, stderr=log,
        # Some steps a second, as with a model of a size that is worth training.
        env={**os.environ, "NL_FAILPOINTS": "compute.delay=0.2"})
try:
    end = time.monotonic() + 30
    while not (said := re.search(r"the page: http://127.0.0.1:(\d+)/", open(folder + "/log").read())):
        if time.monotonic() > end:
            raise SystemExit("the service does not begin: " + open(folder + "/log").read())
        time.sleep(0.1)
    port = int(said.group(1))
    config = {"experiment_name": "watched", "base_model_path": "small", "train_data_path": "train.jsonl", "num_steps": 100000,
              "max_seq_length": 32, "batch_size": 1, "tier_update_frequencies": [1, 2, 4], "eval_every": 100}
    urllib.request.urlopen(urllib.request.Request(
        f"http://127.0.0.1:{port}/nested-learning/start", json.dumps(config).encode(), {"Content-Type": "application/json"}))
    time.sleep(5)
    asyncio.run(main(service, port))
finally:
    service.terminate()
    try:
        service.wait(30)
    except subprocess.TimeoutExpired:
        service.kill()
    shutil.rmtree(folder, ignore_errors=True)

"""Attacks on `nl-coord serve`: see attacks.sh.

usage: attacks.py FOLDER_OF_PROGRAMS FIXTURES

What is tried is read from the service's own OpenAPI file and list of config keys, so that a new route or key is attacked
without anybody's thinking of it. Ends with exit code 1 if anything is not as it should be; every wait is bounded.
"""
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

programs, fixtures = sys.argv[1:3]
folder = tempfile.mkdtemp(prefix="nl-attacks-")
CANARY = "CANARY-" + os.urandom(8).hex()
LIMIT = 1_000_000_000
# More than any machine comes to: the run is stopped when all has been tried.
STEPS = 1_000_000_000
TOKEN = os.urandom(24).hex()
BEARER = {"Authorization": "Bearer " + TOKEN}
failed = False


def expect(what, holds):
    global failed
    print(f"{time.strftime('%T')}  {'ok     ' if holds else 'FAILED '} {what}", flush=True)
    failed = failed or not holds


def wait(what, is_so, seconds=120):
    end = time.monotonic() + seconds
    while not (value := is_so()):
        if time.monotonic() > end:
            raise SystemExit(f"{what} has not come about in {seconds} s")
        time.sleep(0.1)
    return value


class Service:
    """One process, with folders of its own."""

    def __init__(self, name, *arguments, environment=None):
        self.home = f"{folder}/{name}"
        for part in ("models", "data", "runs"):
            os.makedirs(f"{self.home}/{part}")
        shutil.copytree(fixtures + "/models/qwen2_f32", self.home + "/models/small")
        shutil.copy(fixtures + "/data/train.jsonl", self.home + "/data")
        with open(self.home + "/log", "wb") as log:
            self.process = subprocess.Popen(
                [programs + "/nl-coord", "serve", "--listen-http", "127.0.0.1:0", "--models", self.home + "/models",
                 "--data", self.home + "/data", "--runs", self.home + "/runs", *arguments],
                stdout=log, stderr=log, env={**os.environ, **(environment or {})})
        said = lambda: re.search(r"the page: http://127.0.0.1:(\d+)/", open(self.home + "/log").read())
        self.port = int(wait("the service", lambda: said() or self.process.poll() is not None and self.give_up()).group(1))

    def give_up(self):
        raise SystemExit("the service has ended: " + open(self.home + "/log").read())

    def connect(self, source="127.0.0.1", timeout=30):
        return socket.create_connection(("127.0.0.1", self.port), timeout, source_address=(source, 0))

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1"):
        """Status and beginning of an answer; who asks has an address of their own in 127.0.0.0/8."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(source, 0))
        try:
            # As it stands: the client would mend what is wrong with it.
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            headers = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
            if isinstance(body, (dict, list)):
                body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
            if body is not None:
                headers["Content-Length"] = str(len(body))
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read(1 << 20).decode(errors="replace")
        finally:
            connection.close()

    def json(self, path, headers=BEARER):
        status, text = self.ask("GET", path, None, headers)
        return json.loads(text)

    @property
    def resident(self):
        """Megabytes of memory in use."""
        return int(open(f"/proc/{self.process.pid}/statm").read().split()[1]) * 4096 / 1e6

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


CONFIG = {"experiment_name": "victim", "base_model_path": "small", "train_data_path": "train.jsonl", "num_steps": STEPS,
          "max_seq_length": 32, "batch_size": 1, "gradient_accumulation_steps": 2, "tier_update_frequencies": [1, 2, 4],
          "eval_every": STEPS, "checkpoint_every": STEPS}


def result(run):
    """The SHA-256 of a run's adapter and of its state, at its end or where it was stopped: its one numbered checkpoint."""
    names = os.listdir(run + "/checkpoints")
    name = "final" if "final" in names else max(names)
    adapter = hashlib.sha256(open(f"{run}/checkpoints/{name}/adapters.safetensors", "rb").read()).hexdigest()
    state = subprocess.run([programs + "/nl-coord", "status", run, "--digest"], check=True, stdout=subprocess.PIPE)
    return adapter, state.stdout.decode().strip()


def alone(steps):
    """What as many steps come to with nobody attacking: the rate is constant, so that their number tells nothing else."""
    config = CONFIG | {"num_steps": steps, "eval_every": steps, "checkpoint_every": steps,
                       "base_model_path": os.path.abspath(fixtures + "/models/qwen2_f32"),
                       "train_data_path": os.path.abspath(fixtures + "/data/train.jsonl"),
                       "output_path": folder + "/alone"}
    path = folder + "/alone.json"
    json.dump(config, open(path, "w"))
    subprocess.run([programs + "/nl-coord", "train", "--config", path, "--local-workers", "1"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return result(folder + "/alone/victim")


# --- Ways out of the folders


def outside(service):
    """A model and a text that are nobody's business, and links to them from within."""
    secret = folder + "/secret"
    os.makedirs(secret)
    shutil.copytree(fixtures + "/models/qwen2_f32", secret + "/model")
    open(secret + "/train.jsonl", "w").write((json.dumps({"text": CANARY}) + "\n") * 50)
    open(secret + "/adapters.safetensors", "w").write(CANARY)
    for part in ("models", "data", "runs"):
        os.symlink(secret, f"{service.home}/{part}/link")
    os.symlink(secret + "/train.jsonl", service.home + "/data/link.jsonl")
    return secret


def paths(secret):
    up = "../" * 12
    targets = [secret, secret + "/model", secret + "/train.jsonl", secret + "/adapters.safetensors", "/etc/passwd",
               "/proc/self/environ"]
    for target in targets:
        yield target
        yield up + target[1:]
        yield "small/" + up + target[1:]
        yield "file://" + target
        yield target + "\0.jsonl"
        yield "....//" * 12 + target[1:]
        yield "..\\" * 12 + target[1:].replace("/", "\\")
    yield from ("..", "/", "link", "link/model", "link/train.jsonl", "link.jsonl", "link/..", "\0",
                "%2e%2e", "victim/../../secret", "../secret/model", "../secret/train.jsonl")


def is_a_name(evil):
    """Leads nowhere where a name is asked for."""
    return not re.search(r"[/\\\0]|^\.\.?$", evil)


def forms(path):
    """As a piece of an address: with its slashes, without, escaped twice, with only the dots escaped."""
    yield quote(path, safe="/")
    yield quote(path, safe="")
    yield quote(quote(path, safe=""), safe="")
    yield quote(path, safe="").replace(".", "%2e")


def inodes(*roots):
    return {os.path.join(at, name) for root in roots for at, _, names in os.walk(root) for name in names}


def traversal(service, secret):
    api = service.json("/nested-learning/openapi.json")
    keys = [key["name"] for key in service.json("/nested-learning/config-keys")["keys"] if "path" in key["name"]]
    before = inodes(secret, folder + "/alone")
    asked, wrong = 0, []

    def look(what, status, text):
        nonlocal asked
        asked += 1
        # What was refused may be named in the answer, what is in it may not.
        if status >= 500 or CANARY in text or "root:x:0" in text or "NL_ATTACK_MARK" in text:
            wrong.append(f"{what}: {status} {text[:200]}")

    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            if method not in ("get", "post", "delete") or path == "/nested-learning/events":
                continue
            for parameter in operation.get("parameters", []):
                name, place = parameter["name"], parameter["in"]
                for evil in paths(secret):
                    for form in forms(evil):
                        if place == "path":
                            address = path.replace("{" + name + "}", form)
                            # The others are names of what there is, so that it comes to this one.
                            address = re.sub(r"\{name\}", "victim", address)
                            address = re.sub(r"\{\w+\}", "final", address)
                        elif name in ("experiment", "name"):
                            address = f"{path.replace('{name}', 'victim')}?{name}={form}&size=3"
                        else:
                            continue
                        if any(c in address for c in " \r\n") or not address.isascii():
                            continue
                        status, text = service.ask(method.upper(), address, b"abc" if "upload" in path else None, BEARER)
                        look(f"{method} {address[:150]}", status, text)
                        if method != "get" and status < 300 and "upload" not in path:
                            wrong.append(f"{method} {address[:150]}: {status}")
    config_routes = ("/nested-learning/start", "/nested-learning/preview", "/nested-learning/schedule")
    for evil in paths(secret):
        for route in config_routes:
            for key in keys + ["experiment_name", "chat_template_path", "tokenizer_path"]:
                value = [{"path": evil, "weight": 1}] if key == "replay_data_path" else evil
                body = CONFIG | {"experiment_name": "evil", key: value}
                status, text = service.ask("POST", route, body, BEARER)
                look(f"{route} {key}={evil[:80]!r}", status, text)
                if route == "/nested-learning/start" and status == 200 and not (key == "experiment_name" and is_a_name(evil)):
                    wrong.append(f"{route} {key}={evil[:80]!r} was begun: {text[:150]}")
                if status == 200 and route == "/nested-learning/start":
                    service.ask("POST", "/nested-learning/stop?experiment=evil", None, BEARER)
        for field in ("model", "training_file", "validation_file", "suffix"):
            body = {"model": "small", "training_file": "train.jsonl", "suffix": "evil"} | {field: evil}
            status, text = service.ask("POST", "/v1/fine_tuning/jobs", body, BEARER)
            look(f"job {field}={evil[:80]!r}", status, text)
            if status == 200 and not (field == "suffix" and is_a_name(evil)):
                wrong.append(f"job {field}={evil[:80]!r} was begun")
        for route, more in (("chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
                            ("completions", {"prompt": "x"})):
            status, text = service.ask("POST", "/v1/" + route, {"model": evil, "max_tokens": 1, **more}, BEARER)
            look(f"{route} {evil[:80]!r}", status, text)
            if status == 200:
                wrong.append(f"{route} wrote with {evil[:80]!r}")
        for route, body in (("experiments/victim/rename", {"experiment_name": evil}), ("queue", {"order": [evil]}),
                            ("stop", {"experiment_name": evil}), ("pause", {"experiment_name": evil})):
            status, text = service.ask("POST", "/nested-learning/" + route, body, BEARER)
            look(f"{route} {evil[:80]!r}", status, text)
            if status == 200 and not is_a_name(evil):
                wrong.append(f"{route} {evil[:80]!r}: {text[:100]}")
        name = evil.replace('"', "").replace("\0", "%00")
        form = (f'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\nContent-Disposition: '
                f'form-data; name="file"; filename="{name}"\r\n\r\n{{"text": "x"}}\n\r\n--b--\r\n').encode()
        status, text = service.ask("POST", "/v1/files", form, BEARER | {"Content-Type": "multipart/form-data; boundary=b"})
        look(f"a file named {evil[:80]!r}", status, text)
    for line in wrong[:20]:
        print("        ", line)
    expect(f"{asked} requests with paths that lead outside show and begin nothing", not wrong)
    expect("nothing was written outside, and nothing taken away", inodes(secret, folder + "/alone") == before)


# --- Others' pages and names


def other_sites(service, plain):
    api = service.json("/nested-learning/openapi.json")
    routes = [(method.upper(), re.sub(r"\{\w+\}", "victim", path)) for path, operations in api["paths"].items()
              for method in operations if method in ("post", "delete")]
    status, text = service.ask("POST", "/login", {"token": TOKEN})
    cookie = {"Cookie": "nl_login=" + hashlib.sha256(f"nested-learning login\n{TOKEN}".encode()).hexdigest()}
    expect("the cookie of a login is heard", status == 200 and service.ask("GET", "/nested-learning/status", None, cookie)[0] == 200)
    sites = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1.evil.example:{service.port}"},
             {"Origin": f"http://127.0.0.1:{service.port + 1}"}, {"Sec-Fetch-Site": "cross-site"}]
    answers = {service.ask(method, path, {}, who | site)[0] for method, path in routes for who in (cookie, BEARER) for site in sites}
    expect(f"{len(routes)} routes refuse pages of other sites: {answers}", answers == {403})
    answers = {plain.ask(method, path, {}, site)[0] for method, path in routes for site in sites}
    expect(f"so they do on a machine where no token is wanted: {answers}", answers == {403})
    every = [(method.upper(), re.sub(r"\{\w+\}", "victim", path)) for path, operations in api["paths"].items()
             for method in operations if method in ("get", "post", "delete")]
    hosts = ("evil.example", f"evil.example:{plain.port}", "127.0.0.1.evil.example", "127.0.0.2", "[::2]", "", "localhost.evil")
    answers = {plain.ask(method, path, None, {"Host": host})[0] for method, path in every for host in hosts}
    expect(f"{len(every)} routes answer to no other name (a name that was bent to 127.0.0.1): {answers}", answers <= {421, 400})


# --- Too much


def idle(service):
    attackers = [service.connect(source="127.0.0.3") for _ in range(1000)]
    for one in attackers[:500]:
        one.sendall(b"POST /nested-learning/start HTTP/1.1\r\nHost: x\r\nContent-")
    began = time.monotonic()
    statuses = [service.ask("GET", "/nested-learning/status", None, BEARER)[0] for _ in range(20)]
    seconds = (time.monotonic() - began) / 20
    expect(f"beside 1,000 idle connections others are answered within {seconds * 1000:.0f} ms", set(statuses) == {200} and seconds < 2)
    for one in attackers:
        one.close()


def send(service, head, piece, most):
    """Sends a request whose body does not end, as much of it as is taken: bytes sent, status."""
    one = service.connect()
    one.sendall(head)
    sent, status = 0, b""
    try:
        while sent < most:
            one.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    try:
        status = one.recv(64)
    except OSError:
        pass
    one.close()
    return sent, status.split(b" ")[1:2]


def too_large(service):
    ten = 10_000_000_000
    at = f"Host: 127.0.0.1:{service.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    form = "Content-Type: multipart/form-data; boundary=b\r\n"
    begin = ('--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\nContent-Disposition: form-data; '
             'name="file"; filename="ten.jsonl"\r\n\r\n')
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    for what, head, piece in (
        ("a form of 10 GB that says so", f"POST /v1/files HTTP/1.1\r\n{at}{form}Content-Length: {ten}\r\n\r\n{begin}", b"x" * (1 << 20)),
        ("a form that does not say how long it is", f"POST /v1/files HTTP/1.1\r\n{at}{form}Transfer-Encoding: chunked\r\n\r\n"
         f"{len(begin):x}\r\n{begin}\r\n", chunk),
        ("a file of 10 GB that says so", f"POST /nested-learning/upload?name=a.jsonl&size={ten} HTTP/1.1\r\n{at}Content-Length: {ten}\r\n\r\n", b"x" * (1 << 20)),
        ("one that says 1 GB and goes on", f"POST /nested-learning/upload?name=b.jsonl&size={LIMIT} HTTP/1.1\r\n{at}Transfer-Encoding: chunked\r\n\r\n", chunk),
        ("one that says 1,000 bytes and goes on", f"POST /nested-learning/upload?name=c.jsonl&size=1000 HTTP/1.1\r\n{at}Content-Length: {ten}\r\n\r\n", b"x" * (1 << 20)),
        ("a config of 10 GB", f"POST /nested-learning/start HTTP/1.1\r\n{at}Content-Type: application/json\r\nContent-Length: {ten}\r\n\r\n", b" " * (1 << 20)),
        ("a config that does not end", f"POST /nested-learning/start HTTP/1.1\r\n{at}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", chunk),
        ("a text that does not end", f"POST /v1/completions HTTP/1.1\r\n{at}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", chunk),
    ):
        began = time.monotonic()
        sent, status = send(service, head.encode(), piece, ten)
        # For half a second the service takes and drops what is still sent, so that the answer is not lost: gigabytes here.
        expect(f"{what} is refused after {sent / 1e6:.0f} MB, in {time.monotonic() - began:.1f} s: {status}",
               sent < 0.6 * ten and status in ([b"413"], [b"422"]))
    left = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(service.home + "/data") for name in names
               if not os.path.islink(os.path.join(at, name)))
    expect(f"{left / 1e6:.0f} MB of it are left on the disk", left < 1.1 * LIMIT)


def guesses(service):
    began = time.monotonic()
    counts = {}
    for number in range(10_000):
        # Any, and those that lack one letter at the end.
        guess = os.urandom(24).hex() if number % 2 else TOKEN[:-1] + "ghijklmnop"[number % 10]
        if number % 3:
            status, _ = service.ask("GET", "/nested-learning/status", None, {"Authorization": "Bearer " + guess}, "127.0.0.2")
        else:
            status, _ = service.ask("POST", "/login", {"token": guess}, None, "127.0.0.2")
        counts[status] = counts.get(status, 0) + 1
    seconds = time.monotonic() - began
    expect(f"10,000 guessed tokens in {seconds:.0f} s: {counts}",
           set(counts) == {401, 429} and counts[401] <= 10 * (seconds // 60 + 2))
    expect("who has the token is heard meanwhile, from another address",
           service.ask("GET", "/nested-learning/status", None, BEARER)[0] == 200)
    expect("the right one is not heard from the attacker's for now",
           service.ask("GET", "/nested-learning/status", None, BEARER, "127.0.0.2")[0] == 429)


def main():
    token = folder + "/token"
    open(token, "w").write(TOKEN)
    service = Service("service", "--token", token, "--upload-limit", str(LIMIT),
                      environment={"NL_FAILPOINTS": "compute.delay=0.08", "NL_ATTACK_MARK": "1"})
    plain = Service("plain")
    try:
        secret = outside(service)
        status, text = service.ask("POST", "/nested-learning/start", CONFIG, BEARER)
        expect("a run is started", status == 200)
        step = lambda: service.json("/nested-learning/status?experiment=victim")["current_step"]
        wait("its first steps", lambda: step() > 3)
        # Every kind of request once, before memory is looked at.
        for path in ("/", "/nested-learning/experiments", "/nested-learning/openapi.json", "/nested-learning/datasets"):
            service.ask("GET", path, None, BEARER)
        before = service.resident
        for attack in (lambda: traversal(service, secret), lambda: other_sites(service, plain), lambda: idle(service),
                       lambda: too_large(service), lambda: guesses(service)):
            attack()
            print(f"          {service.resident:.0f} MB in use, step {step()}", flush=True)
        time.sleep(2)
        after = service.resident
        expect(f"memory: {before:.0f} MB before, {after:.0f} MB after", after < before + 60)
        status = lambda: service.json("/nested-learning/status?experiment=victim")
        last = status()
        wait("a step after all attacks", lambda: step() > last["current_step"])
        expect(f"the run was at work all the while (step {last['current_step']})", last["status"] == "running")
        service.ask("POST", "/nested-learning/stop", {"experiment_name": "victim"}, BEARER)
        wait("its end", lambda: status()["status"] not in ("running", "queued"), 600)
        stopped = status()
        expect("it has stopped when it was told to", stopped["status"] == "stopped")
        got, expected = result(service.home + "/runs/victim"), alone(stopped["current_step"])
        expect(f"it has come to the bits that it has alone: adapter {got[0][:12]}, state {got[1][:12]}", got == expected)
    finally:
        service.stop()
        plain.stop()


# Whoever ends this ends the services, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
begun = time.monotonic()
try:
    main()
finally:
    shutil.rmtree(folder, ignore_errors=True)
print(f"{time.monotonic() - begun:.0f} s")
sys.exit(1 if failed else 0)

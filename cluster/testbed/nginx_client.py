"""What a browser and a program meet at `nl-coord serve` behind a proxy with TLS: see nginx.sh.

usage: nginx_client.py TOKEN_FILE CERTIFICATE [--events]

Ends with exit code 1 at the first thing that is not as it should be; every wait is bounded.
"""
import http.client
import json
import socket
import ssl
import sys
import time

token = open(sys.argv[1]).read().strip()
HOST = "train.example"
context = ssl.create_default_context(cafile=sys.argv[2])
BEARER = {"Authorization": "Bearer " + token}


class Secure(http.client.HTTPSConnection):
    """To the proxy, under its own name."""

    source = "127.0.0.1"

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", 443), self.timeout, source_address=(self.source, 0))
        self.sock = context.wrap_socket(plain, server_hostname=HOST)


def ask(method, path, body=None, headers=None, make=lambda: Secure(HOST, timeout=60), source="127.0.0.1"):
    connection = make()
    connection.source = source
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer, answer.read()


def directly(path):
    return json.loads(ask("GET", path, None, BEARER, lambda: http.client.HTTPConnection("127.0.0.1", 8000, timeout=60))[1])


def expect(what, holds):
    if not holds:
        raise SystemExit(f"FAILED  {what}")
    print(f"ok      {what}", flush=True)


def wait(what, is_so, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            if value := is_so():
                return value
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit(f"FAILED  {what} has not come about in {seconds} s")
        time.sleep(0.1)


def start_run():
    config = {
        "experiment_name": "behind-nginx", "base_model_path": "small", "train_data_path": "train.jsonl",
        "num_steps": 100000, "max_seq_length": 32, "eval_every": 100000}
    headers = BEARER | {"Content-Type": "application/json"}
    answer, body = ask("POST", "/nested-learning/start", json.dumps(config), headers)
    if answer.status != 409:
        expect("a run is started", answer.status == 200 and json.loads(body)["success"])
    wait("a step", lambda: directly("/nested-learning/status")["current_step"] > 0)


def events_come_at_once():
    """What an event tells is no older than what the service says itself when it arrives; five of them, one by one."""
    began = time.monotonic()
    connection = Secure(HOST, timeout=10)
    connection.request("GET", "/nested-learning/events", None, BEARER)
    try:
        answer = connection.getresponse()
        steps, times = [], []
        while len(steps) < 5:
            line = answer.readline()
            if not line.startswith(b"data: "):
                continue
            times.append(time.monotonic())
            steps.append(json.loads(line[6:])["current_step"])
            behind = directly("/nested-learning/status")["current_step"] - steps[-1]
            # The service looks once a second; a step takes some 0.05 s, or more where others compute.
            per_second = (steps[-1] - steps[0]) / (times[-1] - times[0]) if len(steps) > 1 else 0
            if len(steps) > 1 and behind > 1.5 * per_second + 2:
                raise SystemExit(f"FAILED  an event is {behind} steps old, at {per_second:.0f} steps a second")
    except TimeoutError:
        raise SystemExit("FAILED  no event came for 10 s")
    gaps = [b - a for a, b in zip(times, times[1:])]
    expect(f"events come at once ({times[0] - began:.2f} s) and one by one (every {sum(gaps) / len(gaps):.1f} s)",
           times[0] - began < 3 and min(gaps) > 0.3)
    connection.close()


def text_is_streamed():
    body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "The river"}], "max_tokens": 24,
                       "temperature": 0, "stream": True})
    connection = Secure(HOST, timeout=60)
    connection.request("POST", "/v1/chat/completions", body, BEARER | {"Content-Type": "application/json"})
    answer = connection.getresponse()
    expect("a text is streamed", answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream"))
    times, last = [], b""
    while line := answer.readline():
        if line.startswith(b"data: "):
            times.append(time.monotonic())
            last = line
    expect(f"its {len(times)} pieces come over {times[-1] - times[0]:.1f} s", len(times) > 10 and times[-1] - times[0] > 0.5)
    expect("it comes to its end", last.strip() == b"data: [DONE]")


def upload():
    text = (json.dumps({"text": "The river runs to the sea."}) + "\n").encode() * 100_000
    piece = 1 << 20
    for offset in range(0, len(text), piece):
        answer, body = ask("POST", f"/nested-learning/upload?name=big.jsonl&offset={offset}&size={len(text)}",
                           text[offset:offset + piece], BEARER)
        if answer.status != 200:
            raise SystemExit(f"FAILED  a piece of an upload: {answer.status} {body}")
    names = json.dumps(directly("/nested-learning/datasets"))
    expect(f"a file of {len(text)} bytes is uploaded in pieces", '"big.jsonl"' in names)
    boundary = "----nginx"
    form = (f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--{boundary}\r\n'
            'Content-Disposition: form-data; name="file"; filename="whole.jsonl"\r\n\r\n').encode() + text + \
        f"\r\n--{boundary}--\r\n".encode()
    answer, body = ask("POST", "/v1/files", form, BEARER | {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    expect("and in one request of /v1/files", answer.status == 200 and json.loads(body)["bytes"] == len(text))


def log_in():
    answer, _ = ask("GET", "/", None, {"Accept": "text/html"})
    expect("without a token the page leads to the login", answer.status == 303 and answer.headers["Location"] == "/login")
    answer, _ = ask("GET", "/nested-learning/status")
    expect("and the API is closed", answer.status == 401)
    own = {"Origin": f"https://{HOST}", "Content-Type": "application/json"}
    answer, _ = ask("POST", "/login", json.dumps({"token": "wrong"}), own)
    expect("a wrong token is none", answer.status == 401)
    answer, _ = ask("POST", "/login", json.dumps({"token": token}), own)
    cookie = answer.headers["Set-Cookie"]
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    expect("the login sets a cookie that is Secure, HttpOnly and SameSite=Strict",
           answer.status == 200 and {"secure", "httponly", "samesite=strict"} <= flags)
    logged_in = {"Cookie": cookie.split(";")[0]}
    answer, page = ask("GET", "/", None, logged_in)
    expect("with it the page is there", answer.status == 200 and b"<title>" in page)
    answer, _ = ask("POST", "/nested-learning/pause", None, logged_in | {"Origin": f"https://{HOST}"})
    expect(f"a request of its own page is heard (there is nothing to pause: {answer.status})", answer.status in (404, 409))
    for headers in (logged_in, BEARER):
        answer, _ = ask("POST", "/nested-learning/pause", None, headers | {"Origin": "https://evil.example"})
        expect("one of another site's page is 403", answer.status == 403)
    guesses = [ask("GET", "/nested-learning/status", None, {"Authorization": "Bearer guess"}, source="127.0.0.5")[0].status
               for _ in range(12)]
    expect(f"who guesses tokens is not heard any more: {guesses[-1]}", guesses[0] == 401 and guesses[-1] == 429)
    answer, _ = ask("GET", "/nested-learning/status", None, BEARER)
    expect("and others are", answer.status == 200)


wait("the service", lambda: ask("GET", "/healthz")[0].status == 200)
if sys.argv[3:] == ["--events"]:
    events_come_at_once()
    raise SystemExit(0)
log_in()
answer, body = ask("GET", "/nested-learning/status", None, BEARER)
expect("the API takes the token", answer.status == 200 and json.loads(body)["status"] == "idle")
upload()
start_run()
events_come_at_once()
text_is_streamed()

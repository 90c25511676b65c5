"""What the checks of the page have in common: a service, a page that is watched for errors, screenshots with checks."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError as WaitedInVain
from playwright.sync_api import expect

# Longer than any machine needs, so that nothing here depends on how fast it is.
expect.set_options(timeout=60_000)


def shots():
    """The folder of the screenshots."""
    return sys.argv[4]


# Those that have been begun, for whoever ends them at last.
services = []


class Service:
    """A service with folders of its own, on one port, so that the page finds it again after a kill.

    models, data: what lies in its folders, by the names there: the paths that are copied.
    faults: NL_FAILPOINTS; slow enough for there to be something to pause, unless it is said otherwise.
    """

    def __init__(self, nl_coord, models={}, data={}, host="127.0.0.1", flags=(), faults="compute.delay=0.01"):
        self.folder = tempfile.mkdtemp(prefix="nl-page-")
        services.append(self)
        self.nl_coord, self.host, self.flags, self.faults, self.port = nl_coord, host, list(flags), faults, None
        for kind, things in (("models", models), ("data", data)):
            os.makedirs(f"{self.folder}/{kind}")
            for name, path in things.items():
                (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, f"{self.folder}/{kind}/{name}")
        self.start()

    def start(self):
        log = open(self.folder + "/log", "ab")
        log_begins = log.tell()
        arguments = ["serve", "--listen-http", f"{self.host}:{self.port or 0}"] + self.flags + [
            word for name in ("models", "data", "runs") for word in ("--" + name, f"{self.folder}/{name}")]
        environment = {**os.environ, "NL_FAILPOINTS": self.faults}
        self.process = subprocess.Popen([self.nl_coord] + arguments, stdout=log, stderr=log, env=environment)
        for _ in range(300):
            said = open(self.folder + "/log", "rb").read()[log_begins:].decode()
            if found := re.search(r"the page: http://[^/]*:(\d+)/", said):
                self.port = int(found.group(1))
                return
            time.sleep(0.1)
        raise SystemExit(f"the service did not begin: {said}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f"http://{self.host}:{self.port}/"

    def config(self, run):
        """What a run was begun with, as its folder has it."""
        with open(f"{self.folder}/runs/{run}/config.json") as file:
            return json.load(file)


def check_axe(page, name):
    """No serious finding, in the view as it stands."""
    found = [f for f in Axe().run(page).response["violations"] if f["impact"] in ("serious", "critical")]
    lines = [f"{f['id']}: {f['help']}: {[n['html'][:150] for n in f['nodes'][:3]]}" for f in found]
    assert not found, f"{name}: " + "\n".join(lines)


def check_width(page, name):
    """Nothing of a page is wider than its window, once charts have followed a window that has changed."""
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    try:
        page.wait_for_function(f"{too_wide} <= 0", timeout=20_000)
    except WaitedInVain as error:
        raise AssertionError(f"{name} is {page.evaluate(too_wide)} pixels too wide") from error


def shoot(page, name, checks=True):
    page.wait_for_timeout(300)
    if checks:
        check_axe(page, name)
        check_width(page, name)
    page.screenshot(path=f"{shots()}/{name}.png", full_page=True)


faults = []


def watched(context, *more):
    """A page whose errors are told of at the end. more: words of errors that are to be there."""
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    # A service that has been killed is one thing that the page is to bear, and a value that is refused another.
    allowed = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "status of 422", "status of 404",
               "status of 400", "status of 409", *more)
    page.on("console", lambda m: m.type == "error" and not any(a in m.text for a in allowed) and faults.append(m.text))
    return page


def ask(page, method, path, body=None):
    """A request as the page makes it: its status and its JSON."""
    return page.evaluate("""async ([method, path, body]) => {
        const options = { method, ...(body ? { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) } : {}) };
        const answer = await fetch(path, options);
        return [answer.status, await answer.json()];
    }""", [method, "/nested-learning/" + path, body])


def set_key(page, key, value):
    """Gives a key of the form of a new run a value, wherever it stands."""
    control = page.locator("#k-" + key)
    if not control.is_visible():
        page.get_by_label("Find a key").fill(key)
    if control.evaluate("(element) => element.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(value)
        control.press("Tab")

"""Drives the page of `nl-coord serve` in a real Chromium, as a user would: from an empty folder to two compared runs.

usage: check_page.py NL_COORD MODEL_FOLDER DATA_FOLDER SCREENSHOTS_FOLDER

Needs playwright and axe-playwright-python (PyPI) and Chromium (Debian). Ends with exit code 1 at the first thing that is
not as it should be; every wait is bounded by playwright's 30 seconds.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

nl_coord, model, data, shots = sys.argv[1:5]
os.makedirs(shots, exist_ok=True)
folder = tempfile.mkdtemp(prefix="nl-page-")


class Service:
    """The service on one port, so that the page finds it again after a kill."""

    def __init__(self):
        self.port = None
        self.start()

    def start(self):
        log = open(folder + "/log", "ab")
        self.log_begins = log.tell()
        address = f"127.0.0.1:{self.port or 0}"
        arguments = ["serve", "--listen-http", address] + [
            word for name in ("models", "data", "runs") for word in ("--" + name, f"{folder}/{name}")]
        # Slow enough for there to be something to pause.
        environment = {**os.environ, "NL_FAILPOINTS": "compute.delay=0.01"}
        self.process = subprocess.Popen([nl_coord] + arguments, stdout=log, stderr=log, env=environment)
        for _ in range(300):
            said = open(folder + "/log", "rb").read()[self.log_begins:].decode()
            if found := re.search(r"the page: http://127.0.0.1:(\d+)/", said):
                self.port = int(found.group(1))
                return
            time.sleep(0.1)
        raise SystemExit(f"the service did not begin: {said}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"


def check_axe(page, name):
    """No serious finding, in the view as it stands."""
    found = [f for f in Axe().run(page).response["violations"] if f["impact"] in ("serious", "critical")]
    lines = [f"{f['id']}: {f['help']}: {[n['html'][:150] for n in f['nodes'][:3]]}" for f in found]
    assert not found, f"{name}: " + "\n".join(lines)


def check_width(page, name):
    """Nothing of a page is wider than its window."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} is {wide} pixels too wide"


def shoot(page, name, checks=True):
    page.wait_for_timeout(300)
    if checks:
        check_axe(page, name)
        check_width(page, name)
    page.screenshot(path=f"{shots}/{name}.png", full_page=True)


def fill_form(page, name, steps, rate="0.01"):
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Base model").select_option("small")
    page.get_by_label("Training data").select_option("train.jsonl")
    page.get_by_label("Validation data").select_option("valid.jsonl")
    page.get_by_label("Steps", exact=True).fill(str(steps))
    page.get_by_label("Learning rate").fill(rate)
    page.get_by_label("Max seq length").fill("32")
    page.get_by_label("Find a key").fill("eval_every")
    page.get_by_label("Eval every").fill("50")
    page.get_by_label("Eval every").press("Tab")


def run(page, context, service):
    # From nothing: the first thing that is offered is a new run.
    page.goto(service.url)
    expect(page.get_by_role("heading", name="No run yet")).to_be_visible()
    shoot(page, "empty")
    page.get_by_role("link", name="New run").first.click()
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    count = page.evaluate("fetch('/nested-learning/config-keys').then((a) => a.json()).then((a) => a.keys.length)")
    # All keys but output_path, which the service sets; the periods have sliders.
    shown = page.locator("[data-key]").count()
    assert shown + 4 == count, f"{shown} fields and 4 of their own kind for {count} keys"

    # What is wrong is said at its field.
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_label("Base model")).to_have_attribute("aria-invalid", "true")

    # Data by upload, the model from the list.
    page.get_by_label("Upload data").set_input_files(data + "/train.jsonl")
    expect(page.get_by_label("Training data")).to_have_value("train.jsonl")
    fill_form(page, "first", 400)
    # The slider goes by powers of two.
    page.get_by_label("Period of tier 2").fill("3")
    expect(page.locator("#period-2")).to_have_value("8")
    page.get_by_role("button", name="Check first").click()
    expect(page.get_by_role("heading", name="This is what would be trained")).to_be_visible()
    page.get_by_text("As a command").click()
    expect(page.locator("pre").first).to_contain_text("--tier-update-frequencies 1 2 8")
    shoot(page, "new-run")
    # What was given is still there after a reload.
    page.reload()
    expect(page.get_by_label("Base model")).to_have_value("small")
    page.get_by_role("button", name="Start").click()

    # The run, live.
    expect(page.get_by_role("heading", name="first")).to_be_visible()
    expect(page.locator(".pill.running")).to_be_visible()
    expect(page.locator("dd").first).to_have_text(re.compile(r"^([5-9]\d|\d{3}) of 400"))
    shoot(page, "run")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1 .pill.paused")).to_be_visible()
    # A second browser shows the same.
    other = context.browser.new_context().new_page()
    other.goto(service.url + "#/run/first")
    expect(other.locator("h1 .pill.paused")).to_be_visible()
    other.close()

    # Another one starts meanwhile, and the service is killed in its midst.
    page.get_by_role("link", name="Duplicate").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("first-2")
    expect(page.locator("#period-2")).to_have_value("8")
    page.get_by_label("Learning rate").fill("0.003")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="first-2")).to_be_visible()
    expect(page.locator("dd").first).to_have_text(re.compile(r"^([3-9]\d|\d{3}) of 400"))
    service.kill()
    expect(page.locator("#offline")).to_be_visible()
    service.start()
    expect(page.locator("#offline")).to_be_hidden()
    expect(page.locator("h1 .pill.completed")).to_be_visible(timeout=60_000)

    # The one that rested rests still; it goes on, and is stopped and resumed, by the keyboard alone.
    page.goto(service.url + "#/run/first")
    expect(page.locator("h1 .pill.paused")).to_be_visible()
    for button, state in (("Resume", "running"), ("Stop", "stopped"), ("Resume", "completed")):
        page.get_by_role("button", name=button, exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.locator(f"h1 .pill.{state}")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("lowest validation loss")).to_be_visible()
    shoot(page, "run-completed")

    # What has been trained, beside its base model; the answers come as they are written.
    page.get_by_label("Prompt").fill("The river")
    page.get_by_label("Tokens at most").fill("20")
    page.get_by_role("button", name="Write", exact=True).click()
    written = page.locator(".written")
    expect(written).to_have_count(2)
    expect(page.get_by_role("button", name="Stop writing")).to_be_disabled()
    texts = written.all_inner_texts()
    assert all(texts) and texts[0] != texts[1], texts
    # A model without a chat template cannot answer a message, and that is said.
    page.get_by_label("What to do").select_option("chat")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("template")
    page.get_by_label("What to do").select_option("text")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.get_by_role("button", name="Stop writing")).to_be_disabled()
    page.locator("section", has=page.get_by_role("heading", name="Try it")).screenshot(path=f"{shots}/try-it.png")

    # A checkpoint to take along, as one file.
    with page.expect_download() as download:
        page.get_by_role("link", name="Download best", exact=True).click()
    with tarfile.open(download.value.path()) as archive:
        names = archive.getnames()
    assert download.value.suggested_filename == "first-best.tar" and "best/adapters.safetensors" in names, names
    assert "best/peft/adapter_config.json" in names, names

    # Another name, and tags by which it is found.
    page.get_by_label("Tags, with commas between").fill("keep, small")
    page.get_by_role("button", name="Save tags").click()
    expect(page.locator("#said")).to_have_text("The tags are saved")
    page.get_by_label("Name of the run").fill("first-2")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("there is a run with the name first-2 already")).to_be_visible()
    page.get_by_label("Name of the run").fill("renamed")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="renamed")).to_be_visible()
    expect(page.get_by_label("Tags, with commas between")).to_have_value("keep, small")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_label("Show names and tags with").fill("KEEP")
    expect(page.get_by_role("link", name="first-2", exact=True)).to_be_hidden()
    expect(page.get_by_role("link", name="renamed", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_label("Show names and tags with")).to_have_value("KEEP")
    page.goto(service.url + "#/run/renamed")
    page.get_by_label("Name of the run").fill("first")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("h1")).to_have_text(re.compile("^first completed"))

    # Two runs side by side, and the same again after a reload.
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_label("Compare first", exact=True).check()
    page.get_by_label("Compare first-2").check()
    expect(page.get_by_role("heading", name="What differs in their configs")).to_be_visible()
    expect(page.get_by_role("rowheader", name="learning_rate")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Compare first-2")).to_be_checked()
    expect(page.get_by_role("heading", name="Compared")).to_be_visible()
    shoot(page, "runs")

    page.get_by_role("link", name="Learn", exact=True).click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    shoot(page, "learn")

    # By the keyboard alone: over the link that skips, and the views.
    page.goto(service.url + "#/runs")
    page.reload()
    expect(page.get_by_label("Compare first-2")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()


def views(context, service, name):
    """Each view in another window: phone, dark."""
    page = watched(context)
    for view in ("new", "run/first", "runs?compare=first,first-2", "learn"):
        page.goto(service.url + "#/" + view)
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_timeout(700)
        shoot(page, f"{name}-{view.split('?')[0].replace('/', '-')}")
    page.close()


faults = []


def watched(context):
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    # A service that has been killed is one thing that the page is to bear, and a value that is refused another.
    allowed = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "status of 422", "status of 404",
               "status of 400", "status of 409")
    page.on("console", lambda m: m.type == "error" and not any(a in m.text for a in allowed) and faults.append(m.text))
    return page


service = None
try:
    shutil.copytree(model, folder + "/models/small")
    os.makedirs(folder + "/data")
    shutil.copy(data + "/valid.jsonl", folder + "/data")
    service = Service()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        try:
            page = watched(context)
            run(page, context, service)
            views(browser.new_context(viewport={"width": 375, "height": 740}, color_scheme="light"), service, "phone")
            views(browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark"), service, "dark")
        except BaseException:
            with contextlib.suppress(Exception):
                page.screenshot(path=f"{shots}/failed.png", full_page=True)
            print("\n".join(faults), file=sys.stderr)
            raise
        assert not faults, "\n".join(faults)
        browser.close()
finally:
    if service:
        service.kill()
    shutil.rmtree(folder, ignore_errors=True)
print("the page is as it should be")

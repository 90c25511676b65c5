"""Drives the page of `nl-coord serve` in a real Chromium, as a user would.

usage: check_page.py NL_COORD MODEL_FOLDER DATA_FOLDER SCREENSHOTS_FOLDER [page] [access] [queue] [training]

Needs playwright and axe-playwright-python (PyPI) and Chromium (Debian). Ends with exit code 1 at the first thing that is
not as it should be; every wait is bounded.
"""
import contextlib
import os
import re
import shutil
import sys
import tarfile
import time

from playwright.sync_api import expect, sync_playwright

import check_access
import check_queue
import check_training
from browser import Service, ask, faults, services, shoot, shots, watched

nl_coord, model_folder, data_folder = sys.argv[1:4]


def fill_form(page, name, steps, rate="0.01"):
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Base model").select_option("small")
    page.get_by_label("Training data").select_option("train.jsonl")
    page.get_by_label("Validation data").select_option("valid.jsonl")
    page.get_by_label("Steps", exact=True).fill(str(steps))
    page.get_by_label("Learning rate", exact=True).fill(rate)
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
    page.get_by_label("Upload data").set_input_files(data_folder + "/train.jsonl")
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
    expect(page.get_by_label("Name", exact=True)).to_have_value("first-copy")
    expect(page.locator("#period-2")).to_have_value("8")
    # Model and data are those of the lists, by the names there.
    for label, value in (("Base model", "small"), ("Training data", "train.jsonl"), ("Validation data", "valid.jsonl")):
        expect(page.get_by_label(label)).to_have_value(value)
        assert page.get_by_label(label).locator("option", has_text="/").count() == 0
    page.get_by_label("Learning rate", exact=True).fill("0.003")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="first-copy")).to_be_visible()
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
    # What has been followed live is what a reload would show.
    evaluations = ask(page, "GET", "metrics?experiment=first")[1]["evaluations"]
    best = min(evaluations, key=lambda one: one["loss"])
    expect(page.locator(".facts div", has_text="Best evaluation").locator("dd")).to_contain_text(f"after {best['step']}")
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
    page.locator("section", has=page.get_by_role("heading", name="Try it")).screenshot(path=f"{shots()}/try-it.png")

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
    page.get_by_label("Name of the run").fill("first-copy")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("there is a run with the name first-copy already")).to_be_visible()
    page.get_by_label("Name of the run").fill("renamed")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="renamed")).to_be_visible()
    expect(page.get_by_label("Tags, with commas between")).to_have_value("keep, small")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_label("Show names and tags with").fill("KEEP")
    expect(page.get_by_role("link", name="first-copy", exact=True)).to_be_hidden()
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
    page.get_by_label("Compare first-copy").check()
    expect(page.get_by_role("heading", name="What differs in their configs")).to_be_visible()
    expect(page.get_by_role("rowheader", name="learning_rate")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Compare first-copy")).to_be_checked()
    expect(page.get_by_role("heading", name="Compared")).to_be_visible()
    compare(page, service)
    page.goto(service.url + "#/runs?compare=first,first-copy")
    expect(page.get_by_label("Compare first-copy")).to_be_checked()
    expect(page.get_by_role("group", name="Validation loss").locator(".plot[role=img]")).to_be_visible()
    shoot(page, "runs")

    page.get_by_role("link", name="Learn", exact=True).click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    shoot(page, "learn")

    # By the keyboard alone: over the link that skips, and the views.
    page.goto(service.url + "#/runs")
    page.reload()
    expect(page.get_by_label("Compare first-copy")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()


def compare(page, service):
    """Other curves of two runs, chosen and by the address; a run that is at work is followed."""
    charts = page.locator("figure.chart")
    titles = lambda: charts.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    expect(charts).to_have_count(2)
    assert titles() == ["Loss of steps (smoothed)", "Validation loss"], titles()
    page.get_by_text("Choose curves").click()
    # What the view of a run has curves of is there, and nothing that neither of these has.
    offered = page.locator(".choice").all_inner_texts()
    for title in ("Learning rate", "Gradient norm before clipping", "Drift of tier 2", "Trained tokens a second",
                  "Memory of the coordinator"):
        assert title in offered, (title, offered)
    assert "KL divergence from the base model" not in offered, offered
    page.get_by_label("Learning rate", exact=True).check()
    page.get_by_label("Loss of steps", exact=True).uncheck()
    expect(charts).to_have_count(2)
    assert titles() == ["Validation loss", "Learning rate"], titles()
    page.reload()
    # Drawn: the last rate of each run, as screen readers are told of it.
    rates = page.get_by_role("group", name="Learning rate").locator(".plot[role=img]")
    expect(rates).to_have_attribute("aria-label", re.compile("^Learning rate up to step 400: first .*, first-copy .*"))
    page.goto(service.url + "#/runs?compare=first,first-copy&metrics=norm,drift-tier-2,nothing")
    expect(page.get_by_role("group", name="Drift of tier 2")).to_be_visible()
    expect(charts).to_have_count(2)
    assert titles() == ["Gradient norm before clipping (smoothed)", "Drift of tier 2"], titles()
    config = {key: value for key, value in service.config("first").items() if key not in ("output_path", "inputs_sha256")}
    status, answer = ask(page, "POST", "start", {**config, "experiment_name": "followed"})
    assert status == 200, answer
    page.goto(service.url + "#/runs?compare=first,followed")
    states = page.get_by_role("row", name="State").get_by_role("cell")
    expect(states).to_have_text(["completed", "running"])
    expect(states).to_have_text(["completed", "completed"])
    expect(page.get_by_text("Nothing: they differ in their names alone.")).to_be_visible()


def views(context, service, name):
    """Each view in another window: phone, dark."""
    page = watched(context)
    for view in ("new", "run/first", "runs?compare=first,first-copy", "learn"):
        page.goto(service.url + "#/" + view)
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_timeout(700)
        shoot(page, f"{name}-{view.split('?')[0].replace('/', '-')}")
    page.close()


def first_steps(browser):
    """From an empty folder to two compared runs; then each view in other windows."""
    service = Service(nl_coord, {"small": model_folder}, {"valid.jsonl": data_folder + "/valid.jsonl"})
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watched(context)
    run(page, context, service)
    views(browser.new_context(viewport={"width": 375, "height": 740}, color_scheme="light"), service, "phone")
    views(browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark"), service, "dark")


def check(browser):
    wanted = sys.argv[5:]
    examples = os.path.dirname(os.path.abspath(__file__)) + "/../../examples"
    checks = {
        "page": lambda: first_steps(browser),
        "access": lambda: check_access.check(browser, nl_coord, model_folder, data_folder),
        "queue": lambda: check_queue.check(browser, nl_coord, model_folder, data_folder),
        "training": lambda: check_training.check(browser, nl_coord, examples),
    }
    for name, body in checks.items():
        if wanted and name not in wanted:
            continue
        began = time.monotonic()
        try:
            body()
        except BaseException:
            for index, page in enumerate(page for context in browser.contexts for page in context.pages):
                with contextlib.suppress(Exception):
                    page.screenshot(path=f"{shots()}/failed-{name}-{index}.png", full_page=True)
            print(f"{name}:", *faults, sep="\n", file=sys.stderr)
            raise
        finally:
            while services:
                services.pop().close()
        for context in browser.contexts:
            context.close()
        print(f"{name}: {time.monotonic() - began:.0f} s")


os.makedirs(shots(), exist_ok=True)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=["--no-sandbox"])
    check(browser)
    assert not faults, "\n".join(faults)
    browser.close()
print("the page is as it should be")

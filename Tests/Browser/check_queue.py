"""The order of runs that wait: by dragging, by the keyboard, by buttons, and over a kill of the service."""
from playwright.sync_api import expect

from browser import Service, ask, shoot, watched


def config(name, **keys):
    return {"experiment_name": name, "base_model_path": "small", "train_data_path": "train.jsonl", "max_seq_length": 32,
            "batch_size": 2, "num_steps": 3, "early_stop": False, **keys}


def shown(page):
    return page.locator(".queue li").evaluate_all("(items) => items.map((item) => item.dataset.run)")


def expect_order(page, *names):
    """On the page, and in the service."""
    expect(page.locator(".queue li a")).to_have_text(list(names))
    page.wait_for_function(
        "(names) => fetch('/nested-learning/experiments').then((a) => a.json()).then((a) => a.waiting.join() === names)",
        arg=",".join(names))


def drag(page, run, to, drop=True):
    """The handle of one run to where another stands."""
    page.locator(f"#move-{run}").scroll_into_view_if_needed()
    start, end = (page.locator(f"#move-{name}").bounding_box() for name in (run, to))
    page.mouse.move(start["x"] + 8, start["y"] + 8)
    page.mouse.down()
    for share in (0.3, 0.7, 1.0):
        past = end["height"] if end["y"] > start["y"] else 0
        page.mouse.move(start["x"] + 8, start["y"] + 8 + share * (end["y"] + past - start["y"] - 4), steps=4)
    if drop:
        page.mouse.up()


def check(browser, nl_coord, model, data):
    service = Service(nl_coord, {"small": model}, {"train.jsonl": data + "/train.jsonl"})
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watched(context)
    page.goto(service.url + "#/runs")
    expect(page.get_by_role("link", name="New run").first).to_be_visible()
    assert ask(page, "POST", "start", config("long", num_steps=100_000))[0] == 200
    for name in "abcd":
        assert ask(page, "POST", "start", config(name))[0] == 200
    expect(page.get_by_role("heading", name="Waiting for their turn")).to_be_visible()
    expect_order(page, "a", "b", "c", "d")

    # By the pointer: up, and down; given up with Escape, everything is as it was.
    drag(page, "d", "a")
    expect_order(page, "d", "a", "b", "c")
    drag(page, "d", "b")
    expect_order(page, "a", "b", "d", "c")
    drag(page, "c", "a", drop=False)
    assert shown(page)[0] == "c"
    page.keyboard.press("Escape")
    page.mouse.up()
    expect_order(page, "a", "b", "d", "c")

    # By the keyboard alone: from the search field backwards into the list, then arrows; the focus stays at the run.
    page.locator("#move-a").focus()
    page.keyboard.press("ArrowDown")
    expect_order(page, "b", "a", "d", "c")
    expect(page.locator("#move-a")).to_be_focused()
    expect(page.locator("#said")).to_have_text("a is now number 2 of 4")
    expect(page.get_by_role("button", name="Move a, number 2 of 4")).to_be_focused()
    page.keyboard.press("End")
    expect_order(page, "b", "d", "c", "a")
    page.keyboard.press("Home")
    expect_order(page, "a", "b", "d", "c")
    # By buttons, which the keyboard reaches too; one at the end of its way does nothing.
    expect(page.get_by_role("button", name="Let a begin earlier")).to_be_disabled()
    page.get_by_role("button", name="Let c begin earlier").focus()
    page.keyboard.press("Enter")
    expect_order(page, "a", "b", "c", "d")
    shoot(page, "queue")
    page.set_viewport_size({"width": 375, "height": 740})
    shoot(page, "phone-queue")
    drag(page, "d", "b")
    expect_order(page, "a", "d", "b", "c")
    page.set_viewport_size({"width": 1280, "height": 900})

    # What cannot be done is said, with what is to blame.
    status, error = ask(page, "POST", "queue", {"order": ["b", "long"]})
    assert status == 409 and error["field"] == "order" and "long has begun" in error["error"] and error["hint"], error
    status, error = ask(page, "POST", "queue", {"order": ["b", "b"]})
    assert status == 422 and error["field"] == "order" and "twice" in error["error"], error

    # Killed and begun again, with the order as it was; a reload and another browser show the same.
    service.kill()
    expect(page.locator(".queue li")).to_have_count(4)
    service.start()
    page.reload()
    expect_order(page, "a", "d", "b", "c")
    page.get_by_role("button", name="Take b out of the queue").click()
    expect_order(page, "a", "d", "c")
    other = watched(browser.new_context())
    other.goto(service.url + "#/runs")
    expect_order(other, "a", "d", "c")

    # And in that order they begin.
    assert ask(page, "POST", "stop", {"experiment_name": "long"})[0] == 200
    expect(page.get_by_role("heading", name="Waiting for their turn")).to_be_hidden()
    expect(page.locator("tr", has=page.get_by_role("link", name="c", exact=True)).locator(".pill.completed")).to_be_visible()
    begun = [ask(page, "GET", "experiments/" + name)[1]["created_at"] for name in "adc"]
    assert begun == sorted(begun) and len(set(begun)) == 3, begun
    other.context.close()
    context.close()

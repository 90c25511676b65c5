"""What runs can be told beyond the usual, from the form to the run: each is started from the page, and what it did is looked
for in its config.json, in its metrics and in its view. Model and data are those of the examples."""
import json
import re

from playwright.sync_api import expect

from browser import Service, ask, set_key, shoot, watched

TASKS = [{"name": "book", "type": "classification", "labels": ["genesis", "dictionary"]},
         {"name": "names", "type": "token_classification", "labels": ["word", "name"], "hidden_size": 16}]

STEPS = 12

# Name, training data, validation data, keys as they are typed, and as config.json is to have them.
RUNS = [
    ("curriculum", "verses.jsonl", "verses-valid.jsonl",
     {"curriculum_strategy": "progressive", "curriculum_initial": "0.2", "curriculum_steps": "10"},
     {"curriculum_strategy": "progressive", "curriculum_initial": 0.2, "curriculum_steps": 10}),
    ("sampler", "rows.jsonl", "rows-valid.jsonl",
     {"sampling_mode": "difficulty", "sampling_difficulty": "length", "sampling_range": "0, 0.5"},
     {"sampling_mode": "difficulty", "sampling_difficulty": "length", "sampling_range": [0, 0.5]}),
    ("thaw", "verses.jsonl", "verses-valid.jsonl",
     {"freeze": "embeddings, 0", "unfreeze_schedule": '{"step 1": 2, "step 7": 4}', "layer_lr_decay": "0.5",
      "tier_update_frequencies": "1"},
     {"freeze": ["embeddings", "0"], "unfreeze_schedule": {"step 1": 2, "step 7": 4}, "layer_lr_decay": 0.5}),
    ("schedule", "verses.jsonl", "verses-valid.jsonl", {"lr_schedule": "slanted_triangular", "warmup_steps": "4"},
     {"lr_schedule": "slanted_triangular", "warmup_steps": 4}),
    ("tasks", "tasks.jsonl", "tasks-valid.jsonl",
     {"tasks": json.dumps(TASKS), "tasks_weighting": "uncertainty", "tasks_schedule": "round_robin"},
     {"tasks_weighting": "uncertainty", "tasks_schedule": "round_robin"}),
    ("domains", "domains.jsonl", "domains-valid.jsonl",
     {"tasks": json.dumps([{"name": "of", "type": "classification", "labels": ["of", "none"]}]),
      "adaptation_domains": "genesis, dictionary", "adaptation_adversary": "0.5", "adaptation_norms": "final"},
     {"adaptation_domains": ["genesis", "dictionary"], "adaptation_adversary": 0.5, "adaptation_norms": "final"}),
]


def check(browser, nl_coord, examples):
    files = {"verses.jsonl": "curriculum/verses.jsonl", "verses-valid.jsonl": "curriculum/valid.jsonl",
             "rows.jsonl": "sampling/rows.jsonl", "rows-valid.jsonl": "sampling/valid.jsonl",
             "tasks.jsonl": "multi-task/train.jsonl", "tasks-valid.jsonl": "multi-task/valid.jsonl",
             "domains.jsonl": "adversarial/train.jsonl", "domains-valid.jsonl": "adversarial/valid.jsonl"}
    service = Service(
        nl_coord, {"base": examples + "/quickstart/base"}, {name: f"{examples}/{path}" for name, path in files.items()},
        faults="")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watched(context)
    for name, train, valid, typed, _ in RUNS:
        start(page, service, name, train, valid, typed)
    views = {"curriculum": curriculum, "sampler": sampler, "thaw": thaw, "schedule": schedule, "tasks": tasks,
             "domains": domains}
    for name, _, _, _, wanted in RUNS:
        page.goto(service.url + "#/run/" + name)
        expect(page.locator("h1 .pill.completed")).to_be_visible(timeout=60_000)
        found = service.config(name)
        for key, value in wanted.items():
            assert found[key] == value, f"{name}: {key} is {found[key]}, and not {value}"
        page.get_by_text("All keys").click()
        for key in wanted:
            expect(page.locator("pre", has_text=f'"{key}"').last).to_be_visible()
        views[name](page, ask(page, "GET", f"metrics?experiment={name}")[1])
    compared(page, service)
    exports(page, context)
    context.close()


def start(page, service, name, train, valid, typed):
    page.goto(service.url + "#/new")
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Base model").select_option("base")
    page.get_by_label("Training data").select_option(train)
    page.get_by_label("Validation data").select_option(valid)
    values = {"num_steps": str(STEPS), "learning_rate": "0.003", "batch_size": "4", "gradient_accumulation_steps": "2",
              "max_seq_length": "64", "warmup_steps": "2", "eval_every": "6", "early_stop": "false"}
    if name == "thaw":
        page.locator("#k-num_tiers").fill("1")
        page.locator("#k-num_tiers").press("Tab")
    for key, value in {**values, **typed}.items():
        if key != "tier_update_frequencies":
            set_key(page, key, value)
    if name == "schedule":
        # The curve beside the form is that of the service, before anything is begun.
        expect(page.get_by_role("img", name="Learning rate, slanted triangular")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def chart(page, title):
    """A chart that has been drawn: what screen readers are told of it."""
    plot = page.get_by_role("group", name=re.compile("^" + title)).locator(".plot[role=img]")
    expect(plot).to_be_visible()
    return plot.get_attribute("aria-label")


def curriculum(page, found):
    rows = found["metrics"]
    allowed = [row["curriculum_threshold"] for row in rows]
    # From .2 to 1 in ten steps: ever more is allowed, and nothing harder is drawn.
    assert abs(allowed[0] - 0.2) < 0.1 and allowed[-1] == 1 and allowed == sorted(allowed), allowed
    assert rows[0]["sampled_difficulty"] <= allowed[0] and rows[0]["sampled_difficulty"] < rows[-1]["sampled_difficulty"], rows
    assert "allowed 1" in chart(page, "Difficulty of the rows")
    # What every run has, once: drift by tier and memory.
    assert "tier 2" in chart(page, "Drift by tier")
    assert all(row["memory"]["coordinator"] > 0 for row in rows) and rows[-1]["memory"]["workers"] > 0, rows[-1]
    assert "coordinator" in chart(page, "Memory")
    shoot(page, "run-curriculum")


def sampler(page, found):
    assert all(row["sampled_difficulty"] <= 0.5 for row in found["metrics"]), found["metrics"]
    assert "mean of a step 0." in chart(page, "Difficulty of the rows")


def thaw(page, found):
    rows = found["metrics"]
    tiers = len(rows[-1]["tier_learning_rates"])
    rates = [rate for rate in rows[-1]["tier_learning_rates"] if rate > 0]
    assert tiers > 1 and len(rates) >= 1, rows[-1]
    # Two layers learn from the start, two more from step 7 on; what is frozen never does.
    updates = [sum(tier in row["active_tiers"] for row in rows) for tier in range(tiers)]
    assert STEPS in updates and STEPS - 6 in updates and set(updates) <= {STEPS, STEPS - 6, 0}, updates
    drift = [[row["tier_drift"][tier] for row in rows if row.get("tier_drift")] for tier in range(tiers)]
    assert all((sum(value is not None for value in values) == count) for values, count in zip(drift, updates)), drift
    table = page.get_by_role("region", name="Tiers")
    expect(table.get_by_role("row")).to_have_count(tiers + 1)
    expect(table.get_by_role("row").nth(1)).to_contain_text(str(updates[0]))
    assert f"tier {tiers - 1}" in chart(page, "Learning rate by tier")


def schedule(page, found):
    rates = [row["learning_rate"] for row in found["metrics"]]
    body = {"num_steps": STEPS, "learning_rate": 0.003, "warmup_steps": 4, "lr_schedule": "slanted_triangular"}
    status, drawn = ask(page, "POST", "schedule", body)
    assert status == 200 and rates == [point["rate"] for point in drawn["points"]], (rates, drawn)
    # Up to the top, and down from there.
    top = rates.index(max(rates))
    assert 0 < top < STEPS - 1 and rates[:top + 1] == sorted(rates[:top + 1]) and rates[top:] == sorted(rates[top:])[::-1], rates
    chart(page, "Learning rate by tier")


def tasks(page, found):
    rows, evaluations = found["metrics"], found["evaluations"]
    for task in TASKS:
        of_task = [one["tasks"][task["name"]] for one in evaluations]
        assert all(0 <= one["accuracy"] <= 1 and 0 <= one["f1"] <= 1 and one["loss"] > 0 for one in of_task), of_task
        weights = [row["tasks"][task["name"]]["weight"] for row in rows if "weight" in row["tasks"][task["name"]]]
        assert weights and all(weight > 0 for weight in weights), rows[-1]
        for title in ("Loss by task", "Validation loss by task", "Accuracy by task", "Macro F1 by task",
                      "What the losses of tasks weigh"):
            assert task["name"] in chart(page, title), title
    shoot(page, "run-tasks")


def domains(page, found):
    rows = found["metrics"]
    grown = [row["adversary_lambda"] for row in rows]
    assert grown[0] == 0 and grown == sorted(grown) and 0.4 < grown[-1] < 0.5, grown
    assert all(0 <= row["domain_accuracy"] <= 1 and row["domain_loss"] > 0 for row in rows), rows
    assert "domain accuracy" in chart(page, "Share of rows whose domain")
    assert "domain loss" in chart(page, "Cross entropy of the rows")


def compared(page, service):
    """Runs by what only some of them measure."""
    page.goto(service.url + "#/runs?compare=tasks,curriculum&metrics=task-accuracy-book,difficulty")
    assert re.search("tasks 0|tasks 1", chart(page, "Accuracy at evaluations of book"))
    assert "curriculum 0." in chart(page, "Difficulty of the rows")
    page.goto(service.url + "#/run/" + RUNS[-1][0])
    expect(page.locator("h1 .pill.completed")).to_be_visible()


def exports(page, context):
    """A checkpoint in a form that the service makes; what cannot be made is said."""
    page.get_by_text("In another form").first.click()
    page.get_by_role("button", name="Whole model: make and download").first.click()
    # A model has no place for heads of tasks.
    expect(page.get_by_role("alert").first).to_contain_text("head")
    page.goto(page.url.split("#")[0] + "#/run/schedule")
    page.get_by_text("In another form").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Whole model for llama.cpp: make and download best").click()
    with open(download.value.path(), "rb") as file:
        assert file.read(4) == b"GGUF"
    assert download.value.suggested_filename == "schedule-best.gguf", download.value.suggested_filename
    expect(page.get_by_text("schedule-best.gguf has been downloaded")).to_be_visible()

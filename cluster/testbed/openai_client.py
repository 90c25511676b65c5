"""A whole fine-tuning with the official `openai` client against `nl-coord serve`, as a program of somebody's own has it:
nothing of the client is changed but its `base_url`.

usage: openai_client.py NL_COORD MODEL_FOLDER DATA_FOLDER

Needs openai (PyPI). Ends with exit code 1 at the first thing that is not as it should be; every wait is bounded.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import openai

nl_coord, model, data = sys.argv[1:4]
folder = tempfile.mkdtemp(prefix="nl-openai-")
TEMPLATE = ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant:{% endif %}")


def wait(what, is_so, seconds=120):
    end = time.monotonic() + seconds
    while not (value := is_so()):
        if time.monotonic() > end:
            raise SystemExit(f"{what} has not come about in {seconds} s\n" + open(folder + "/log").read()[-3000:])
        time.sleep(0.1)
    return value


class Service:
    def __init__(self):
        self.port = 0
        self.start()

    def start(self):
        log = open(folder + "/log", "ab")
        begins = log.tell()
        arguments = [nl_coord, "serve", "--listen-http", f"127.0.0.1:{self.port}"]
        for name in ("models", "data", "runs"):
            arguments += ["--" + name, f"{folder}/{name}"]
        # Slow enough for there to be something to kill, and to pause.
        environment = {**os.environ, "NL_FAILPOINTS": "compute.delay=0.02"}
        self.process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
        said = lambda: re.search(r"the page: http://127.0.0.1:(\d+)/", open(folder + "/log", "rb").read()[begins:].decode())
        self.port = int(wait("the service", said).group(1))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def main(service):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{service.port}/v1", api_key="none", timeout=60)
    assert "small" in [found.id for found in client.models.list()]

    # Files: as a path, and as bytes with a name.
    with open(data + "/train.jsonl", "rb") as file:
        training = client.files.create(file=file, purpose="fine-tune")
    with open(data + "/valid.jsonl", "rb") as file:
        validation = client.files.create(file=("valid.jsonl", file.read()), purpose="fine-tune")
    client.files.wait_for_processing(training.id, max_wait_seconds=30)
    assert {found.id for found in client.files.list()} == {training.id, validation.id}
    assert client.files.content(training.id).read() == open(data + "/train.jsonl", "rb").read()

    job = client.fine_tuning.jobs.create(
        model="small", training_file=training.id, validation_file=validation.id, suffix="peer", seed=3,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 4}}},
        metadata={"from": "the client"},
        extra_body={"nested_learning": {
            "tier_update_frequencies": [1, 2, 4], "max_seq_length": 32, "learning_rate": 0.02, "eval_every": 5,
            "checkpoint_every": 10, "warmup_steps": 2}})
    assert job.status in ("queued", "running"), job
    # What ran goes on by itself after a kill.
    wait("a step", lambda: client.fine_tuning.jobs.retrieve(job.id).nested_learning["current_step"] > 2)
    service.kill()
    service.start()
    wait("the end", lambda: client.fine_tuning.jobs.retrieve(job.id).status not in ("queued", "running"))
    job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded" and job.fine_tuned_model == "peer/checkpoints/final", job
    assert job.trained_tokens > 0 and job.finished_at >= job.created_at and job.metadata == {"from": "the client"}
    assert job.hyperparameters.n_epochs == 2 and job.training_file == training.id
    assert [found.id for found in client.fine_tuning.jobs.list()] == [job.id]

    # The client goes from page to page by itself. 41 rows twice in steps of 4 are 21 steps.
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=7))
    steps = [event.data["step"] for event in events if event.data and "train_loss" in event.data]
    assert steps == list(range(job.nested_learning["total_steps"], 0, -1)), steps
    assert job.nested_learning["total_steps"] == 21, job.nested_learning
    losses = [event.data["valid_loss"] for event in events if event.data and "valid_loss" in event.data]
    assert losses[0] < losses[-1], f"the validation loss went from {losses[-1]} to {losses[0]}"
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert any(found.step_number == 10 for found in checkpoints), checkpoints

    messages = [{"role": "user", "content": "The river"}]
    texts = {}
    for name in ("small", job.fine_tuned_model, checkpoints[-1].fine_tuned_model_checkpoint):
        assert client.models.retrieve(name).id == name
        asked = dict(model=name, messages=messages, max_tokens=24, temperature=0)
        answer = client.chat.completions.create(**asked)
        texts[name] = answer.choices[0].message.content
        assert answer.usage.completion_tokens <= 24 and texts[name], answer
        with client.chat.completions.create(**asked, stream=True) as stream:
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert "".join(pieces) == texts[name], (pieces, texts[name])
    assert texts["small"] != texts[job.fine_tuned_model], texts
    drawn = [client.completions.create(
        model=job.fine_tuned_model, prompt="The ", temperature=0.8, top_p=0.9, seed=5, max_tokens=16, stop="\n"
    ).choices[0].text for _ in range(2)]
    assert drawn[0] == drawn[1]

    # Errors are those that the client has classes for.
    for kind, ask in [
        (openai.NotFoundError, lambda: client.fine_tuning.jobs.retrieve("ftjob-none")),
        (openai.NotFoundError, lambda: client.chat.completions.create(model="none", messages=messages)),
        (openai.BadRequestError, lambda: client.fine_tuning.jobs.create(
            model="small", training_file=training.id, method={"type": "dpo"})),
        (openai.BadRequestError, lambda: client.chat.completions.create(model="small", messages=messages, n=2)),
        (openai.BadRequestError, lambda: client.files.create(file=("x.sh", b"x"), purpose="fine-tune")),
    ]:
        try:
            ask()
        except kind as error:
            assert error.type == "invalid_request_error" and error.message, error
        else:
            raise SystemExit(f"no {kind.__name__}")

    # Cancelled in mid-run, paused and resumed before.
    job = client.fine_tuning.jobs.create(
        model=job.fine_tuned_model, training_file="train.jsonl", extra_body={"nested_learning": {"num_steps": 100000, "max_seq_length": 32}})
    status = lambda: client.fine_tuning.jobs.retrieve(job.id).status
    wait("its beginning", lambda: client.fine_tuning.jobs.retrieve(job.id).nested_learning["current_step"])
    client.fine_tuning.jobs.pause(job.id)
    wait("its rest", lambda: status() == "paused")
    client.fine_tuning.jobs.resume(job.id)
    wait("its work", lambda: status() == "running")
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    client.files.delete(training.id)
    assert [found.id for found in client.files.list()] == [validation.id]


for name in ("models", "data"):
    os.makedirs(f"{folder}/{name}")
shutil.copytree(model, folder + "/models/small")
open(folder + "/models/small/chat_template.jinja", "w").write(TEMPLATE)
shutil.copy(data + "/train.jsonl", folder + "/data")
begun = time.monotonic()
service = Service()
try:
    main(service)
    print(f"openai {openai.__version__}: a whole fine-tuning, {time.monotonic() - begun:.0f} s")
finally:
    service.kill()
shutil.rmtree(folder, ignore_errors=True)

#!/usr/bin/env python3
"""Writes Vectors/VERSION/MESSAGE.txt: every message of the protocol, byte by byte.

Made from PROTOCOL.md alone and without the encoder, which VectorTests holds to these files. Run it again after a change
of the protocol; the files of an older version stay as they are.

usage: make_vectors.py [--seeds FOLDER]    also writes each message as an input of the frame fuzzer
"""

import hashlib
import pathlib
import struct
import sys

PAYLOAD = 262_144
RUN, TERM, SESSION, SEQUENCE, CORRELATION = 3, 7, (0x0123456789ABCDEF, 0xFEDCBA9876543210), 42, 41
DIGEST = "0123456789abcdef" * 4


def crc32c(data):
    """CRC-32C of RFC 3720: reflected, polynomial 1EDC6F41."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc_entry(byte):
    for _ in range(8):
        byte = (byte >> 1) ^ 0x82F63B78 if byte & 1 else byte >> 1
    return byte


CRC_TABLE = [crc_entry(byte) for byte in range(256)]
assert crc32c(b"123456789") == 0xE3069283


def json_text(value):
    """The form in which bodies are sent: no space but after the commas of lists."""
    if isinstance(value, dict):
        return "{" + ",".join(json_text(key) + ":" + json_text(item) for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(json_text(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return '"' + "".join(escaped(character) for character in value) + '"'
    return repr(value)


def escaped(character):
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if character in short:
        return short[character]
    return f"\\u{ord(character):04x}" if ord(character) < 0x20 else character


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def integers(*values):
    return struct.pack(f"<{len(values)}i", *values)


def bits(value):
    return struct.pack(">d", value).hex()


class Message:
    """One message: its fields, its objects, and the rows of its file."""

    def __init__(self, name, number, fields=None, objects=(), session=SESSION, payload=None):
        self.name, self.number, self.session = name, number, session
        self.objects = list(objects)
        self.piece = payload
        self.payload = payload or b"".join(data for _, data in self.objects)
        fields = dict(fields or {})
        if payload is not None:
            fields |= {"crc32c": crc32c(payload)}
        if self.objects:
            fields["objects"] = [
                {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in self.objects
            ]
        if self.objects and self.payload:
            fields["crc32c"] = crc32c(self.payload)
        self.text = json_text(fields) if fields else ""
        self.body = self.text.encode()

    def prefix(self):
        return b"NL" + bytes([2, 0])

    def header(self):
        """Rows of (bytes, meaning)."""
        rows = [
            (bytes([self.number]), f"type {self.number}: {self.name.split('-')[0]}"),
            (bytes(1), "reserved"),
            (struct.pack("<H", len(self.objects)), f"objects: {len(self.objects)}"),
            (struct.pack("<I", RUN), f"run: {RUN}"),
            (struct.pack("<Q", TERM), f"term: {TERM}"),
            (struct.pack("<QQ", *self.session), f"session: {self.session[0]:016x}{self.session[1]:016x}"),
            (struct.pack("<Q", SEQUENCE), f"sequence: {SEQUENCE}"),
            (struct.pack("<Q", CORRELATION), f"correlation: {CORRELATION}"),
            (struct.pack("<I", len(self.body)), f"bytes of the body: {len(self.body)}"),
            (struct.pack("<I", len(self.payload)), f"bytes of the payload: {len(self.payload)}"),
            (struct.pack("<I", crc32c(self.body)), "CRC-32C of the body"),
        ]
        before = b"".join(data for data, _ in rows)
        assert len(before) == 60
        return rows + [(struct.pack("<I", crc32c(self.prefix() + before)), "CRC-32C of F0 and the 60 bytes above")]

    def frames(self):
        head = b"".join(data for data, _ in self.header())
        return [self.prefix(), head, self.body] + ([self.payload] if self.payload else [])

    def lines(self):
        yield f"# {self.name.split('-')[0]}, version 2.0. A row is: frame | bytes | what they are."
        yield from row("F0", self.prefix(), '"NL", version 2.0')
        for place, (data, meaning) in enumerate(self.header()):
            yield from row("F1" if place == 0 else "", data, meaning)
        yield from body_rows(self.body)
        if self.piece is not None:
            yield from row("F3", self.piece, "payload")
        label = "F3"
        for name, data in self.objects:
            for line in object_rows(name, data):
                yield label.ljust(4) + line
                label = ""


def row(label, data, meaning):
    yield f"{label:4}| {data.hex(' '):47} | {meaning}"


def body_rows(body):
    if not body:
        yield from row("F2", b"", "empty")
    for start in range(0, len(body), 16):
        part = body[start : start + 16]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in part)
        yield from row("F2" if start == 0 else "", part, shown)


def object_rows(name, data):
    """Rows without their first column."""
    if len(data) > 64 and len(set(data)) == 1:
        yield f"| {data[:1].hex()}*{len(data):<44} | \"{name}\": one byte, {len(data)} times"
        return
    kind = "i" if name.split(".")[0] in ("tokens", "offsets", "labels", "tasks", "domains") else "f"
    for start in range(0, len(data), 16):
        part = data[start : start + 16]
        values = struct.unpack(f"<{len(part) // 4}{kind}", part[: len(part) // 4 * 4])
        yield f"| {part.hex(' '):47} | \"{name}\": {', '.join(str(value) for value in values)}"


def messages():
    """All messages of the version."""
    assign = {
        "attempt": 9, "purpose": "train", "step": 12, "leaf_count": 3, "level": 1, "index": 0, "tiers": [0, 2],
        "window": True, "digest_only": True, "step_tokens": 17,
        "parameter_versions": [3, 2, 1], "dropout_seed": 2**64 - 1,
    }
    yield Message(
        "HELLO", 1,
        {"program": "nl-worker 1.0", "numeric_profile": "f32-1", "isa": "avx2", "threads": 4,
         "host": "höst \"1\"", "process_id": 123, "local_index": 3, "model_sha256": DIGEST,
         "local_secret": "0123abcd", "numeric_profiles": ["f32-1", "bf16-1"], "runs": [DIGEST, "other"],
         "terms": [2**64 - 1, 3]},
        session=(0, 0))
    yield Message("WELCOME", 2, {"worker_id": 5, "heartbeat_seconds": 0.5})
    yield Message(
        "ENTER_RUN", 7,
        {"worker_id": 5, "run": DIGEST, "plan": 1, "model_path": "/models/base", "model_sha256": DIGEST,
         "trainable": {"rank": 8, "alpha": 16.5},
         "tiers": [[{"name": "a", "shape": [2, 3]}, {"name": "b", "shape": [4]}], []],
         "numeric_profile": "bf16-1", "recomputes_layers": True})
    yield Message("LEAVE_RUN", 8)
    yield Message("REJECT", 3, {"code": "numeric_profile", "reason": "other bits"})
    yield Message("READY", 6, {"model_sha256": DIGEST})
    # As much as a payload can have.
    yield Message(
        "PARAMETERS", 24, {"tier": 1, "version": 4, "digest": DIGEST}, [("tier", b"\x3f" * PAYLOAD)])
    yield Message(
        "ASSIGN", 32, assign,
        [("tokens.0", integers(1, 2, 3)), ("offsets.0", integers(0, 2, 3)), ("labels.0", integers(2, -100, -100)),
         ("tokens.1", integers(4, 5)), ("offsets.1", integers(0, 2)), ("labels.1", integers(5, -100))])
    # Bits that a decimal number would lose; an object without bytes.
    yield Message(
        "RESULT", 52,
        {"attempt": 9, "loss_sum": bits(0.1 + 0.2), "tokens": 17, "seconds": 0.25, "progress": 48},
        [("tier.0.0", floats(1, -0.0, 2.0**-149)), ("tier.0.1", floats(float("inf"))), ("tier.2", b"")])
    yield Message("RESULT_ACK", 51, {"attempt": 9, "outcome": "duplicate"})
    for name, number in [("PING", 64), ("PONG", 65), ("DRAIN", 66), ("DRAINED", 67), ("GOODBYE", 68)]:
        yield Message(name, number)
    yield Message("ERROR", 69, {"code": "compute", "reason": "no \"memory\"\n\t\\ \u0001", "attempt": 9})
    yield Message(
        "RESULT-digests", 52,
        {"attempt": 10, "loss_sum": bits(-1.0), "tokens": 17, "seconds": 0,
         "digests": [{"name": "tier.0", "bytes": 12, "sha256": DIGEST}]})
    orders = [{"tier": 0, "returns": "sum", "chains": ["start", "given"]},
              {"tier": 2, "returns": "copy", "chains": [DIGEST, "separate"]}]
    windows = {key: value for key, value in assign.items() if key not in ("digest_only", "dropout_seed")}
    windows = {key: windows[key] for key in list(windows)[:9]} | {
        "windows": orders, "parameter_versions": [3, 2, 1]}
    yield Message(
        "ASSIGN-windows", 32, windows,
        [("tokens.0", integers(1)), ("offsets.0", integers(0, 1)), ("labels.0", integers(2)),
         ("tokens.1", integers(4)), ("offsets.1", integers(0, 1)), ("labels.1", integers(5))])
    yield Message(
        "ASSIGN-collect", 32,
        {"attempt": 11, "purpose": "collect", "step": 12, "leaf_count": 4, "level": 1, "index": 1, "tiers": [1],
         "window": True, "step_tokens": 17,
         "windows": [{"tier": 1, "returns": "copy", "chains": ["skip", DIGEST]}],
         "parameter_versions": [3, 2, 1]})
    yield Message(
        "RESULT-windows", 52,
        {"attempt": 9, "loss_sum": bits(0.5), "tokens": 17, "seconds": 0.25,
         "windows": [{"tier": 2, "micro_batch": 0, "first": 9, "last": 12, "chain": DIGEST, "gradient": DIGEST},
                     {"tier": 2, "micro_batch": 1, "first": 12, "last": 12, "gradient": DIGEST}]},
        [("tier.0", floats(3)), ("tier.2.1", floats(-0.0)), ("chain.2.0", floats(0.5, 2.0))])
    yield from objectives()
    yield Message(
        "RESULT-layers", 52,
        {"attempt": 9, "loss_sum": bits(0.5), "tokens": 17, "seconds": 0.25,
         "layers": {"forward": DIGEST[:32], "backward": "f" * 16, "gradients": "0" * 48, "sums": ""}},
        [("tier.0", floats(3))])
    yield Message("WINDOW", 25, {"step": 11, "firsts": [9, 1]},
                  [("chain.1.2", floats(-0.0)), ("chain.2.0", floats(7))])
    yield Message("PROBE", 4, {"seed": 2**64 - 1})
    yield Message("PROBE_RESULT", 5, {"sha256": DIGEST})
    yield Message("ACCEPT", 33, {"attempt": 9})
    yield Message("DECLINE", 34, {"attempt": 9, "code": "parameters", "reason": "none"})
    yield Message("LEASE_RENEW", 35, {"attempt": 9, "progress": 12})
    yield Message("CANCEL", 36, {"attempt": 9})
    yield Message("CANCELLED", 37, {"attempt": 9})
    yield Message("STATUS", 70)
    yield Message("STATUS-folder", 70, {"folder": "/runs/demo"})
    yield Message("CONTROL", 72, {"command": "pause", "folder": "/runs/demo", "token": "0123abcd"})
    yield Message("STATUS_REPLY", 71, {"status": {"state": "paused", "workers": [], "step": 12}})
    yield from transfers()
    yield from model()


def objectives():
    """Rehearsed and weighted rows, the sums of an objective, what is measured before training, a smaller scale after it."""
    yield Message(
        "ENTER_RUN-objective", 7,
        {"worker_id": 5, "run": DIGEST, "plan": 1, "model_path": "/models/base", "model_sha256": DIGEST,
         "trainable": "full", "tiers": [[{"name": "a", "shape": [2]}]], "numeric_profile": "f32/1+objective/1",
         "objective": {"by_entropy": True, "soft_replay": True, "kl_to_base": 0.5, "kl_on_all": False, "by_row": True}})
    shard = {"attempt": 9, "purpose": "train", "step": 12, "leaf_count": 1, "level": 0, "index": 0, "tiers": [0],
             "window": False}
    rows = [("tokens.0", integers(1, 2, 3)), ("offsets.0", integers(0, 2, 3)), ("labels.0", integers(2, -100, -100))]
    yield Message(
        "ASSIGN-objective", 32,
        shard | {"step_tokens": 17, "parameter_versions": [3], "replayed": [[1]], "row_weights": True},
        rows + [("weights.0", floats(0.5, 1))])
    yield Message(
        "RESULT-objective", 52,
        {"attempt": 9, "loss_sum": bits(0.5), "replay_loss_sum": bits(0.25), "divergence_sum": bits(0.0),
         "objective_sum": bits(0.75), "tokens": 17, "seconds": 0.25}, [("tier.0", floats(3))])
    yield Message(
        "ASSIGN-tasks", 32, shard | {"step_tokens": 1, "parameter_versions": [3], "row_tasks": True},
        rows + [("tasks.0", integers(1, 0))])
    yield Message(
        "RESULT-tasks", 52,
        {"attempt": 9, "loss_sum": bits(0.75), "replay_loss_sum": bits(0.0), "divergence_sum": bits(0.0),
         "objective_sum": bits(0.0), "task_sums": [[bits(0.25), 3, 2, 1, 1, 2, 1, 2, 1], [bits(0.5), 14, 5]],
         "tokens": 17, "seconds": 0.25}, [("tier.0", floats(3))])
    yield Message(
        "ASSIGN-domains", 32,
        shard | {"step_tokens": 1, "parameter_versions": [3], "row_domains": True, "adversary": True},
        rows + [("domains.0", integers(0, 255)), ("adversary.0", floats(1.5, 0.25))])
    yield Message(
        "RESULT-domains", 52,
        {"attempt": 9, "loss_sum": bits(0.75), "replay_loss_sum": bits(0.0), "divergence_sum": bits(0.0),
         "objective_sum": bits(1.5), "domain_sums": [bits(0.25), 2, 1],
         "tokens": 1, "seconds": 0.25}, [("tier.0", floats(3))])
    for measure in ["token_losses", "squared_gradients"]:
        yield Message(
            f"ASSIGN-{measure}", 32, shard | {"measure": measure, "step_tokens": 17, "parameter_versions": [0]}, rows)
    yield Message(
        "ASSIGN-sampled_texts", 32,
        shard | {"measure": "sampled_texts",
                 "sampling": {"seed": 2**64 - 1, "first": 256, "rows": 32, "max_tokens": 24, "end_tokens": [2, 151643]},
                 "step_tokens": 2, "parameter_versions": [0]}, rows)
    yield Message(
        "ASSIGN-scale", 32,
        shard | {"purpose": "evaluate", "tiers": [], "step_tokens": 17, "parameter_versions": [3],
                 "adapter_scale": bits(0.95)}, rows)
    yield Message(
        "ASSIGN-accuracy", 32,
        shard | {"purpose": "evaluate", "tiers": [], "accuracy": True, "step_tokens": 17, "parameter_versions": [3]}, rows)
    yield Message(
        "RESULT-accuracy", 52,
        {"attempt": 9, "loss_sum": bits(0.5), "tokens": 17, "correct": 16, "seconds": 0.25}, [])


def transfers():
    """Transfers: parameters to a worker, results to the coordinator."""
    tier = [{"name": "tier", "bytes": 300000, "sha256": DIGEST}]
    gradients = [{"name": "tier.0", "bytes": 300000, "sha256": DIGEST}, {"name": "tier.2", "bytes": 0, "sha256": DIGEST}]
    parameters = {"tier": 1, "version": 4, "digest": DIGEST}
    result = {"attempt": 9, "loss_sum": bits(0.5), "tokens": 17, "seconds": 0.25, "progress": 48}
    for name, first, of, fields, objects in [
        ("PARAMS", 20, 24, parameters, tier), ("RESULT", 48, 52, result, gradients),
    ]:
        yield Message(f"{name}_OFFER", first, {"transfer": 3, "of": of, "fields": fields, "objects": objects})
        yield Message(f"{name}_CREDIT", first + 1, {"transfer": 3, "bytes": 300000, "received": 262144})
        yield Message(
            f"{name}_CHUNK", first + 2, {"transfer": 3, "object": 0, "offset": 262144}, payload=bytes(range(1, 9)))
        yield Message(
            f"{name}_CREDIT-from", first + 1,
            {"transfer": 3, "bytes": 5000000, "received": 4194304, "from": 4194304})
        for outcome in ["received", "corrupt"]:
            yield Message(f"{name}_ACK-{outcome}", first + 3, {"transfer": 3, "outcome": outcome})
    long = [{"name": "tier.0", "bytes": 9000000, "sha256": DIGEST, "segments": [DIGEST, DIGEST[::-1]]}]
    yield Message("RESULT_OFFER-segments", 48, {"transfer": 3, "of": 52, "fields": result, "objects": long})
    yield Message("RESULT_ACK-refused", 51, {"transfer": 3, "attempt": 9, "outcome": "stale"})


def model():
    """The base model's files."""
    files = [
        {"name": "config.json", "bytes": 700, "sha256": DIGEST},
        {"name": "model.safetensors", "bytes": 2**40, "sha256": DIGEST},
    ]
    yield Message("MODEL_OFFER", 16, {"model_sha256": DIGEST, "files": files})
    yield Message("MODEL_CREDIT-offer", 17, {"received": 0})
    yield Message("MODEL_CREDIT", 17, {"received": 2**50, "file": 1, "offset": 2**39, "bytes": 2**20})
    yield Message("MODEL_CREDIT-report", 17, {"received": 17, "file": 0, "offset": 0, "bytes": 0})
    yield Message("MODEL_CHUNK", 18, {"file": 1, "offset": 2**39}, payload=b"\x09\x08\x07")


def seed(message, flags=0x3F):
    """An input of the frame fuzzer: what to repair, then each frame behind its length. FrameTarget.swift reads it."""
    frames = message.frames()
    if any(len(frame) > 4096 for frame in frames):
        flags |= 0x40
        frames = [frame[:1] if len(frame) > 4096 else frame for frame in frames]
    return bytes([flags]) + b"".join(struct.pack("<H", len(frame)) + frame for frame in frames)


def main():
    folder = pathlib.Path(__file__).parent / "Vectors"
    seeds = pathlib.Path(sys.argv[2]) if sys.argv[1:2] == ["--seeds"] else None
    for message in messages():
        path = folder / "2.0" / f"{message.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (line.rstrip() for line in message.lines())
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if seeds:
            (seeds / f"seed-{message.name}").write_bytes(seed(message))


main()

"""Makes rows.json: what transformers and tokenizers make of rows of every kind, and which tokens are trained.

    python make_rows.py

Needs transformers, tokenizers and jinja2 (made with 5.24, 0.23 and 3.1). The definitions, written out once more:

- prompt and completion as strings: the ids of the joined text (with the tokens that the post-processor puts before it)
  and EOS; trained from the first id in which they differ from the prompt's own ids.
- conversations: the ids of the rendered text, no tokens added. The span of an assistant turn is what rendering the
  messages up to it adds to rendering those before it with the generation prompt (their longest common prefix), looked
  for in the whole rendering; a token belongs where its first byte does; training ends after the first end-of-turn id.
"""

import json
import os
import random

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENIZERS = os.path.join(HERE, "../../LanguageModelTests/Fixtures/tokenizers")

PLAIN = ("{% for m in messages %}{{ '<|' + m.role + '|>' }}\n{{ m.content }}<|end|>\n{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
# The end of a turn is no token, so a token may reach from one turn into the next; a space stands before an answer.
LOOSE = ("{{ bos_token }}{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
         "{% else %}{{ m.content }}{% endif %}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}")
# Thoughts are shown in the last turn alone, so earlier ones are not found as they were when they were the last.
THINK = ("{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and loop.last %}<think>{{ m.thought or '' }}"
         "</think>{% endif %}{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}")
CASES = [("qwen2", PLAIN), ("llama3", LOOSE), ("smollm", THINK), ("qwen2", LOOSE), ("llama2", LOOSE),
         ("metaspace", PLAIN)]

WORDS = ["river", " froze", "é", "e\u0301", "\n", "\n\n", " ", "  ", "12", "Café", "don't", "👍🏽", "名前", ".", ", ", "a"]


def text(rng, least=0):
    return "".join(rng.choice(WORDS) for _ in range(rng.randint(least, 9)))


def common(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def sentencepiece(style):
    """A BPE over characters that falls back to bytes, with spaces written by the normalizer or by the pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if style == "llama2":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    rng = random.Random(7)
    texts = [text(rng, 3).replace("👍🏽", "").replace("名", "") for _ in range(200)]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=360, special_tokens=["<unk>"] + bytes_, show_progress=False))
    saved = json.loads(tokenizer.to_str())
    # Bytes are tokens of the model, not added ones.
    saved["added_tokens"] = [t for t in saved["added_tokens"] if t["content"] == "<unk>"]
    saved["decoder"] = json.loads(decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]).__getstate__())
    return json.dumps(saved, ensure_ascii=False)


class Reference:
    def __init__(self, name, template):
        self.own = None if os.path.exists(f"{TOKENIZERS}/{name}") else sentencepiece(name)
        self.raw = Tokenizer.from_str(self.own) if self.own else Tokenizer.from_file(
            f"{TOKENIZERS}/{name}/tokenizer.json")
        self.raw.add_special_tokens(
            [AddedToken(t, special=True, normalized=False)
             for t in ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<eot>"]])
        self.json = self.raw.to_str()
        self.bare = Tokenizer.from_str(self.json)
        self.bare.post_processor = None
        self.eos = "<eot>"
        self.ends = {self.raw.token_to_id("<eot>"), self.raw.token_to_id("<|end|>")}
        self.hf = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(self.json), eos_token="<eot>",
                                          bos_token="<eot>", chat_template=template)

    def completion(self, prompt, completion):
        eos = self.raw.token_to_id(self.eos)
        ids = self.raw.encode(prompt + completion).ids
        if ids and ids[-1] == eos:
            ids = ids[:-1]
        ids = ids + [eos]
        bare = self.bare.encode(prompt, add_special_tokens=False).ids
        with_special = self.raw.encode(prompt).ids
        before = with_special[:len(with_special) - len(bare)] if with_special[-len(bare):] == bare else with_special
        start = common(ids, (before if bare else with_special) + bare)
        return ids, [[start, len(ids)]]

    def render(self, messages, prompt=False):
        return self.hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)

    def conversation(self, messages, first=0):
        whole = self.render(messages)
        encoding = self.bare.encode(whole, add_special_tokens=False)
        starts = [o[0] for o in encoding.offsets]
        spans, missing = [], 0
        for i, m in enumerate(messages):
            if m["role"] != "assistant" or i < first:
                continue
            before = self.render(messages[:i], True) if i else ""
            upto = self.render(messages[:i + 1])
            begin, end = common(before, upto), len(upto)
            if whole[:end] != upto:
                missing += 1
                continue
            a = sum(s < begin for s in starts)
            b = sum(s < end for s in starts)
            for k in range(a, b):
                if encoding.ids[k] in self.ends:
                    b = k + 1
                    break
            spans.append([a, b])
        return encoding.ids, spans, missing


def messages(rng, turns):
    out = [dict(role="system", content=text(rng, 1))] if rng.random() < 0.4 else []
    for i in range(turns):
        out.append(dict(role="user", content=text(rng, 1)))
        m = dict(role="assistant", content=text(rng, 1))
        if rng.random() < 0.5:
            m["thought"] = text(rng, 1)
        out.append(m)
    return out


def rows(reference, rng, count):
    for i in range(count):
        kind = i % 5
        if kind == 0:
            row = dict(prompt=text(rng), completion=text(rng))
            ids, spans = reference.completion(row["prompt"], row["completion"])
            yield row, ids, spans, 0
            continue
        if kind == 4:
            row = dict(instruction=text(rng, 1), input=text(rng) if rng.random() < 0.5 else "", output=text(rng))
            head = "Below is an instruction that describes a task"
            head += (", paired with an input that provides further context." if row["input"] else ".")
            head += " Write a response that appropriately completes the request."
            head += f"\n\n### Instruction:\n{row['instruction']}"
            head += (f"\n\n### Input:\n{row['input']}" if row["input"] else "") + "\n\n### Response:"
            ids, spans = reference.completion(head, row["output"])
            yield row, ids, spans, 0
            continue
        chat = messages(rng, rng.randint(1, 3))
        first = 0
        if kind == 1:
            row = dict(messages=chat)
        elif kind == 2:
            first = len(chat) - 1
            row = dict(prompt=chat[:first], completion=chat[first:])
        else:
            chat = [{k: v for k, v in m.items() if k != "thought"} for m in chat]
            names = dict(user="human", assistant="gpt", system="system")
            row = dict(conversations=[{"from": names[m["role"]], "value": m["content"]} for m in chat])
        ids, spans, missing = reference.conversation(chat, first)
        yield row, ids, spans, missing


def main():
    cases = []
    for number, (name, template) in enumerate(CASES):
        reference = Reference(name, template)
        rng = random.Random(20 + number)
        added = [dict(content=t, id=reference.raw.token_to_id(t))
                 for t in ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<eot>"]]
        cases.append(dict(
            tokenizer=name, template=template, added=added,
            json=json.loads(reference.own) if reference.own else None,
            rows=[dict(row=row, ids=" ".join(map(str, ids)), trained=spans, missing=missing)
                  for row, ids, spans, missing in rows(reference, rng, 60)]))
    with open(os.path.join(HERE, "rows.json"), "w", encoding="utf-8") as f:
        f.write("[\n")
        for n, case in enumerate(cases):
            lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in case.pop("rows"))
            head = json.dumps(case, ensure_ascii=False)[:-1]
            f.write(f"{head}, \"rows\": [\n{lines}\n]}}{',' if n + 1 < len(cases) else ''}\n")
        f.write("]\n")


if __name__ == "__main__":
    main()

"""Makes what ChatTemplateTests hold to, with transformers 5 and Jinja 3.1:

    python3 -m venv venv && venv/bin/pip install transformers jinja2
    venv/bin/python make_fixtures.py

Fixtures/conversations.jsonl   200 conversations (conversations.py) that every template of Fixtures/Templates renders
Fixtures/renderings.json       by template and conversation: the first 8 hexadecimal digits of the SHA-256 of
                               apply_chat_template's text, or dashes for an error, four times: without and with tools, each
                               without and with the generation prompt
Fixtures/expressions.jsonl     random expressions and small templates (random_templates.py) with the text that they give, null
                               for an error

The templates are of our own making. Between them they use every construct of the templates of Qwen2.5, Qwen3, QwQ, Llama 3.x,
SmolLM2 and 3, Mistral (v1 to v7, Nemo, Small), Gemma 2 and 3, Phi 3 and 4, Granite 3.x, OLMo 2, DeepSeek V3 and R1, Hermes,
Command R, gpt-oss:

assistant-default      a system message of the template's own; tojson; neighbours by loop.index0 - 1; set in a loop that hides
                       the loop's variable; inline if
reasoning-dropped      messages[::-1]; namespace as a search; startswith, endswith, split()[i], strip, lstrip, rstrip; a setting
                       that need not be there; `is string`, `not(…)`, if without else
dated-headers          strftime_now; `is defined` on settings and functions; messages[1:]; trim; tojson(indent=4);
                       selectattr|map|join; raise_exception; `'key' in message`; is mapping, is iterable; default
tools-before-question  selectattr|list, [-1], == on messages; items() in a loop with a condition; text[:-1]; % 2 and != on tests;
                       |length on ids; default(…, true)
two-roles              everything in `-` tags; newlines in strings; parts of content by index; role names changed
one-line               no line ends at all; elif chains; loop.last with add_generation_prompt; bos and eos
macros                 recursive macros with defaults and keywords, varargs, kwargs, caller with arguments, set and filter blocks,
                       generation, nested loops in macros, map('tojson'), dictsort, indent, get() of an object
documents              documents; with; for … if … else; |items; dotted attributes; tojson with each of its arguments; title
whitespace             trim_blocks and lstrip_blocks with -, + and neither, raw, comments, blanks beyond ASCII, string escapes
loops                  every attribute of loop, recursion, break, continue, else, unpacking, scopes, groupby, batch, slice, ranges,
                       generators that are used up
filters                every filter, test, string method and operator; %, format; how Python shows numbers, lists and objects
flags                  namespaces as state machines over calls and their results; ~; split('</think>', 1)
"""
import datetime
import hashlib
import json
import pathlib
import random
import re

import transformers
from tokenizers import Tokenizer, models
from transformers.utils import chat_template_utils

from conversations import conversations, tool
from random_templates import VARIABLES, Writer

FIXTURES = pathlib.Path(__file__).parent / "Fixtures"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 2, 3, 4, 5, 6)


chat_template_utils.datetime = FixedDate
TOKENIZER = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **TOKENS)


def render(template, messages, **settings):
    """The text, or None for an error."""
    try:
        return TOKENIZER.apply_chat_template(messages, chat_template=template, tokenize=False, **settings)
    except Exception:
        return None


def digest(text):
    return "--------" if text is None else hashlib.sha256(text.encode()).hexdigest()[:8]


def write_lines(name, values):
    lines = [json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n" for value in values]
    (FIXTURES / name).write_text("".join(lines), encoding="utf-8", newline="")


def renderings(rows):
    for path in sorted((FIXTURES / "Templates").glob("*.jinja")):
        template = path.read_bytes().decode()
        digests = []
        for row in rows:
            texts = [render(template, row["messages"], tools=tools, add_generation_prompt=prompt)
                     for tools in (None, row["tools"]) for prompt in (False, True)]
            digests.append("".join(digest(text) for text in texts))
        yield path.stem, digests


def expressions(count):
    """Of expressions that fail, which most do whose operands are of random types, one in ten is kept."""
    r = random.Random(5)
    seen = set()
    for i in range(1_000_000):
        writer = Writer(r)
        template = "{{ " + writer.expression(r.randrange(1, 4)) + " }}" if i % 2 else writer.template()
        text = render(template, [{"role": "user", "content": "hi"}], **VARIABLES)
        if template in seen or len(template) > 400 or text and (len(text) > 400 or re.search("0x[0-9a-f]{6}", text)):
            continue
        if text is None and r.random() < 0.9:
            continue
        seen.add(template)
        yield [template, text]
        if len(seen) == count:
            return


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    rows = conversations(seed=13, count=200)
    r = random.Random(14)
    for row in rows:
        row["tools"] = row["tools"] or [tool(r)]
    write_lines("conversations.jsonl", rows)
    everything = {name: digests for name, digests in renderings(rows)}
    (FIXTURES / "renderings.json").write_text(json.dumps(everything, indent=0) + "\n")
    write_lines("expressions.jsonl", [{"variables": VARIABLES}] + list(expressions(1200)))

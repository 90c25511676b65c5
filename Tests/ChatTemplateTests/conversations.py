"""Random conversations for chat templates, from a seed: the same on every machine."""
import random

TEXTS = [
    "What is 2 + 2?", "Four.", "", " ", "\n", "  leading and trailing  ", "\n\nnew lines around\n\n", "tab\tinside",
    "Größe, naïve, œuvre, coöperate", "日本語のテキスト。", "\u3000wide blanks\u3000", "😀 emoji 👩‍👩‍👧 family", "e\u0301 combining, é composed",
    "quotes \" and ' and `", "back\\slash \\n", "<b>html & more</b>", "{{ not a template }} {% nor this %}", "{\"json\": [1, 2.5, null]}",
    "<|im_end|> inside", "</s>", "a" * 90, "line one\nline two\r\nline three", "nul\u0000 and \u007f and \u200b",
    "<think>\nhidden\n</think>\n\nshown", "<think></think>", "no opening</think>\n\nrest", "<tool_response>\nlooks like one\n</tool_response>",
    "Σίσυφος ΟΔΟΣ", "right to left: שלום", "100%", "%s %d", "- a\n- b\n- c", "x = 1  # comment", "\u2028line separator", "ends in blank ",
]
THOUGHTS = ["Let me think.", "\nfirst\nsecond\n", "", "  spaced  ", "考える"]
NAMES = ["get_weather", "add", "search_web", "lire_fichier", "運ぶ"]
VALUES = [1, -3, 2.5, 1e20, 1e-7, 0.1, True, False, None, "Paris", "", "é \"q\" \\ \n", [1, 2, 3], [], {}, {"a": {"b": [None, "x"]}}, 12345678901, "<&>'"]


def text(r):
    return r.choice(TEXTS)


def parts(r):
    """Content as a list of parts."""
    result = [{"type": "text", "text": text(r)} for _ in range(r.randrange(1, 4))]
    if r.random() < 0.15:
        result.insert(r.randrange(len(result) + 1), {"type": "image"})
    return result


def content(r):
    return parts(r) if r.random() < 0.12 else text(r)


def arguments(r):
    names = r.sample(["city", "n", "unit", "query", "options", "日付", "list"], r.randrange(0, 4))
    return {name: r.choice(VALUES) for name in names}


def schema(r):
    kinds = [{"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "number", "default": 0.5},
             {"type": "string", "enum": ["c", "f"]}, {"type": "array", "items": {"type": "string"}},
             {"type": ["string", "null"], "description": "may be null"}, {"type": "boolean", "nullable": True},
             {"type": "object", "properties": {"deep": {"type": "integer"}}, "required": ["deep"]}]
    properties = {}
    for name in r.sample(["city", "n", "unit", "query", "options"], r.randrange(0, 4)):
        properties[name] = dict(r.choice(kinds))
        if r.random() < 0.7:
            properties[name].setdefault("description", "The " + name + " — \"quoted\" <b>")
    result = {"type": "object", "properties": properties}
    if r.random() < 0.7:
        result["required"] = list(properties)[:1]
    return result


def tool(r):
    function = {"name": r.choice(NAMES), "description": r.choice(["Looks it up.", "Adds.\n\nTwo lines.", "Schlägt nach: ü"]), "parameters": schema(r)}
    if r.random() < 0.1:
        function["return"] = {"type": "string", "description": "what came"}
    return {"type": "function", "function": function}


def call(r, number):
    function = {"name": r.choice(NAMES), "arguments": arguments(r)}
    if r.random() < 0.1:
        function["arguments"] = "{\"as\": \"text\"}"
    result = {"type": "function", "function": function}
    if r.random() < 0.8:
        result["id"] = "call%05d" % number
    if r.random() < 0.05:
        return function
    return result


def assistant(r, number, with_tools):
    message = {"role": "assistant"}
    kind = r.random()
    if with_tools and kind < 0.55:
        message["tool_calls"] = [call(r, number + i) for i in range(r.choice([1, 1, 1, 2]))]
        chosen = r.random()
        if chosen < 0.3:
            message["content"] = text(r)
        elif chosen < 0.6:
            message["content"] = None
        elif chosen < 0.85:
            message["content"] = ""
    else:
        message["content"] = content(r)
    if r.random() < 0.2:
        message[r.choice(["reasoning_content", "reasoning_content", "thinking", "reasoning"])] = r.choice(THOUGHTS)
    return message


def result(r, message, i):
    calls = message["tool_calls"]
    answer = {"role": "tool", "content": r.choice([text(r), "21.5", "{\"temperature\": 21.5}"])}
    if r.random() < 0.6:
        answer["name"] = calls[i].get("function", calls[i])["name"]
    if r.random() < 0.8:
        answer["tool_call_id"] = calls[i].get("id", "none00000")
    return answer


def messages(r):
    result_ = []
    kind = r.random()
    if kind < 0.45:
        result_.append({"role": "system", "content": content(r)})
    elif kind < 0.48:
        result_.append({"role": "developer", "content": text(r)})
    with_tools = r.random() < 0.45
    number = 0
    for _ in range(r.choice([1, 1, 2, 2, 3, 4])):
        result_.append({"role": "user", "content": content(r)})
        if r.random() < 0.03:
            result_.append({"role": "user", "content": content(r)})
        for _ in range(4):
            answer = assistant(r, number, with_tools)
            result_.append(answer)
            if "tool_calls" not in answer:
                break
            number += len(answer["tool_calls"])
            for i in range(len(answer["tool_calls"])):
                result_.append(result(r, answer, i))
    while len(result_) > 1 and r.random() < 0.2:
        result_.pop()
    return result_, with_tools


def conversation(r):
    """Messages; tools or None."""
    found, with_tools = messages(r)
    tools = [tool(r) for _ in range(r.randrange(1, 4))] if with_tools or r.random() < 0.1 else None
    return {"messages": found, "tools": tools}


def conversations(seed, count):
    r = random.Random(seed)
    return [conversation(r) for _ in range(count)]

"""Puts a number before every condition of Swift files, by which it can be turned round when the program runs: what
cluster/testbed/inversions.sh builds. Prints the numbers, each with its place and its condition.

    python3 invert.py FILE...        changes the files

Conditions of if, guard, while, `else if` and ternaries are numbered, and what functions of type Bool return; not the
patterns among them (`let`, `case`), which cannot be turned round.
"""

import re
import sys


def split(text):
    """The parts of a condition list, at commas outside of brackets and strings."""
    parts, depth, start, quoted = [], 0, 0, False
    for place, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return parts + [text[start:]]


class Inverter:
    def __init__(self):
        self.number = 0
        self.list = []

    def wrap(self, condition, place):
        stripped = condition.strip()
        if not stripped or re.match(r"(let|var|case)\b", stripped):
            return condition
        self.number += 1
        self.list.append(f"{self.number} {place} {' '.join(stripped.split())}")
        left = condition[: len(condition) - len(condition.lstrip())]
        right = condition[len(condition.rstrip()):]
        return f"{left}Inversion.of({self.number}, {stripped}){right}"

    def conditions(self, text, place):
        return ",".join(self.wrap(part, place) for part in split(text))

    def change(self, text, name):
        # Comments say "if" and "while", too.
        code = re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), text)
        condition = r"(?:[^{}]|\{[^{}\n]*\}\))*?"
        pattern = re.compile(
            rf"(?P<word>\bguard\s)(?P<guarded>{condition})(?=\selse\s*\{{)"
            rf"|(?P<if>\b(?:if|while)\s)(?P<tested>{condition})(?=\s\{{)"
            r"|(?P<return>\n    return |Bool \{ )(?P<value>[^\n{}?]*(?:==|!=|<=|>=|\|\||&&)[^\n{}?]*"
            r"(?:\n      (?:\|\||&&)[^\n{}?]*)*)(?=\n  \}| \}\n)"
        )
        out, end = [], 0
        for match in pattern.finditer(code):
            out.append(text[end:match.start()])
            end = match.end()
            place = f"{name}:{code.count(chr(10), 0, match.start('guarded' if match['word'] else 'tested' if match['if'] else 'value')) + 1}"
            if match["word"]:
                out.append(match["word"] + self.conditions(match["guarded"], place))
            elif match["if"]:
                out.append(match["if"] + self.conditions(match["tested"], place))
            else:
                out.append(match["return"] + self.wrap(match["value"], place))
        return "".join(out) + text[end:]


def main():
    inverter = Inverter()
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(inverter.change(text, path.split("/")[-1]))
    print("\n".join(inverter.list))


if __name__ == "__main__":
    main()

"""Random expressions and small templates, from a seed."""

VARIABLES = {
    "s1": "Hello World", "s2": " x y ", "s3": "<think>a</think>b", "u": "é日😀", "n": 3, "z": 0, "f": 2.5, "neg": -4,
    "t": True, "no": False, "nul": None, "l": [3, 1, 2], "ls": ["b", "A", "c", "a"],
    "lm": [{"role": "user", "content": "q", "n": 2}, {"role": "assistant", "content": "r", "n": 1}, {"role": "tool", "n": 3}],
    "d": {"b": 1, "a": [1, 2], "C": None}, "e": [], "ed": {}, "nest": {"x": {"y": [{"z": 1}]}}, "big": 1e20,
}
STRINGS = [
    "", "a", "Hello World", " pad ", "\n\n x\t", "héllo ß", "日本語テキスト", "😀 ok", "a,b,,c", "<think>\nhm\n</think>\n\nreply",
    "ABC", "abc abc abc", "it's", 'say "hi"', "back\\slash", "1", "42", "-7", "3.5", "1e3", " 12 ", "\u3000wide\u3000",
    "x\x1cy", "line1\nline2\r\nline3", "Σας ΣΑΣ", "user", "name", "{}", "%s", "\u0000z", "ǆ", "\x7f\u200b",
]
FILTERS = [
    "upper", "lower", "title", "capitalize", "trim", "length", "count", "string", "list", "first", "last", "reverse|list",
    "join", "join(', ')", "int", "float", "int(5)", "abs", "round", "round(1)", "round(2, 'floor')", "tojson",
    "tojson(indent=2)", "tojson(ensure_ascii=True)", "tojson(sort_keys=true)", "tojson(separators=(',', ':'))",
    "default('D')", "default('D', true)", "d(1)", "sort", "sort(reverse=true)", "unique|list", "min", "max", "sum",
    "items|list", "dictsort", "dictsort(by='value')", "map('upper')|list", "map(attribute='role')|list",
    "map(attribute='n', default=0)|list", "select|list", "reject|list", "select('string')|list", "select('odd')|list",
    "reject('none')|list", "selectattr('content')|list", "selectattr('role', 'equalto', 'user')|list",
    "rejectattr('role', 'in', ['user', 'tool'])|list", "selectattr('n', 'gt', 1)|map(attribute='n')|list", "indent",
    "indent(2)", "indent(2, true)", "indent(2, blank=true)", "escape", "safe", "forceescape", "replace('a', 'X')",
    "replace('', '-')", "replace('l', 'L', 1)", "truncate(5)", "truncate(8, true)", "center(12)", "wordcount",
    "batch(2)|list", "slice(2)|list", "batch(2, 'f')|list", "sort(attribute='n')", "groupby('role')", "attr('role')",
    "trim('a')", "map('int')|list", "map('string')|join('+')", "sort(case_sensitive=true)", "min(attribute='n')",
    "list|length", "float|int", "string|length",
]
TESTS = [
    "defined", "undefined", "none", "string", "number", "mapping", "sequence", "iterable", "true", "false", "boolean",
    "integer", "float", "odd", "even", "divisibleby 3", "eq 1", "ne 'a'", "gt 1", "lt 2", "ge 3", "le(3)", "in [1, 2, 'a']",
    "sameas none", "lower", "upper", "callable", "equalto('user')", "sameas true",
]
METHODS = [
    "upper()", "lower()", "title()", "capitalize()", "strip()", "lstrip()", "rstrip()", "strip('a ')", "split()", "split(',')",
    "split(' ', 1)", "rsplit(' ', 1)", "split('</think>')[-1]", "split(none, 1)", "rsplit()", "rsplit(none, 1)", "splitlines()",
    "splitlines(true)", "startswith('a')", "startswith(('a', 'H'))", "startswith('e', 1)", "endswith('d')",
    "endswith(('x', 'c'))", "replace('a', 'b')", "replace('a', 'b', 1)", "replace('', '.')", "count('a')", "find('l')",
    "find('o', 5)", "rfind('l')", "index('a')", "rindex('c')", "isdigit()", "isalpha()", "isalnum()", "isspace()", "isupper()",
    "islower()", "istitle()", "isnumeric()", "isdecimal()", "isascii()", "isidentifier()", "isprintable()", "join(['a', 'b'])",
    "join(ls)", "center(9)", "center(9, '*')", "ljust(8)", "rjust(8, '-')", "zfill(6)", "partition(' ')", "rpartition(' ')",
    "removeprefix('a')", "removesuffix('c')", "swapcase()", "casefold()", "format(1, 2)", "format(a=1)",
]
ACCESSES = [
    "d.items()|list", "d.keys()|list", "d.values()|list", "d.get('a')", "d.get('zz')", "d.get('zz', 5)", "d.items()", "d.keys()",
    "l.count(1)", "l.index(2)", "l.append(1)", "d.update({})", "d.pop('a')", "lm[0].items()|list", "nest.x.y[0].z",
    "nest['x']['y'][0]['z']", "lm[-1]['role']", "range(5)|list", "range(2, 8, 3)|list", "range(5, 0, -2)|list", "range(3)[1]",
    "dict(a=1, b=2)", "dict(d, z=1)", "namespace(a=1).a", "range(n)",
]
PERCENTS = [
    "%s", "%d", "%5s|", "%-5s|", "%05d", "%.2f", "%x", "%X", "%o", "%e", "%g", "%+d", "% d", "%r", "%s-%s", "%%", "%5.1f|", "%i",
    "%#x", "%.3s", "%(a)s",
]
BRACES = [
    "{}", "{0}", "{:>6}", "{:<6}|", "{:^7}|", "{:*^7}", "{:d}", "{:05d}", "{:.2f}", "{:x}", "{:,}", "{!r}", "{:e}", "{:g}", "{:%}",
    "{:+}", "{:.3}", "{} {}", "{0}{0}", "{{}}", "{:5}|", "{:#x}", "{:_}", "{:b}", "{0[0]}", "{:.1f}",
]


def quoted(text):
    for a, b in [("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\x00", "\\x00")]:
        text = text.replace(a, b)
    return "'" + text + "'"


class Writer:
    def __init__(self, r):
        self.r = r

    def atom(self):
        kind = self.r.randrange(12)
        if kind < 4:
            return quoted(self.r.choice(STRINGS))
        if kind < 6:
            return str(self.r.choice([0, 1, 2, -1, 3, 10, 100, -5, 7]))
        if kind == 6:
            return self.r.choice(["1.5", "0.1", "-2.25", "1e10", "1e-7", "100.0", "0.30000000000000004", "2.0"])
        if kind == 7:
            return self.r.choice(["true", "false", "none", "True", "None"])
        if kind < 11:
            return self.r.choice(list(VARIABLES))
        return self.r.choice(["undef", "lm[0].x", "d.nope"])

    def string(self, depth):
        if depth <= 0 or self.r.random() < 0.3:
            return self.r.choice([quoted(self.r.choice(STRINGS)), "s1", "s2", "s3", "u"])
        return self.expression(depth - 1)

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        r = self.r

        def e():
            return self.expression(depth - 1)

        kind = r.randrange(30)
        if kind == 0:
            return f"({e()} {r.choice(['+', '-', '*', '/', '//', '%', '**'])} {r.choice(['1', '2', '3', e()])})"
        if kind == 1:
            return f"({e()} ~ {e()})"
        if kind == 2:
            return f"({e()} {r.choice(['==', '!=', '<', '>', '<=', '>=', 'in', 'not in'])} {e()})"
        if kind == 3:
            return f"({e()} {r.choice(['and', 'or'])} {e()})"
        if kind == 4:
            return f"(not {e()})"
        if kind == 5:
            return f"({e()} if {e()} else {e()})"
        if kind == 6:
            return f"({e()})[{r.choice(['0', '1', '-1', '2', '5', quoted('a'), quoted('role'), 'n'])}]"
        if kind == 7:
            base = r.choice(["s1", "s2", "s3", "u", "undef", "nul", "n", "lm[0].role", "l", "ls", "lm", "e"])
            return f"{base}[{r.choice(['', '1', '-2', '0', 'n'])}:{r.choice(['', '2', '-1', '10'])}{r.choice(['', ':', ':2', ':-1', ':-2'])}]"
        if kind in (8, 9):
            return "[" + ", ".join(e() for _ in range(r.randrange(4))) + "]"
        if kind == 10:
            return "{" + ", ".join(f"{quoted(r.choice('abcde'))}: {e()}" for _ in range(r.randrange(3))) + "}"
        if kind == 11:
            return "(" + ", ".join(e() for _ in range(r.randrange(2, 4))) + ")"
        if kind in (12, 13, 14, 15):
            return f"({e()})|{r.choice(FILTERS)}"
        if kind in (16, 17):
            return f"(({e()}) is {r.choice(['', 'not '])}{r.choice(TESTS)})"
        if kind in (18, 19, 20, 21, 22):
            return f"({self.string(depth)}).{r.choice(METHODS)}"
        if kind == 23:
            return r.choice(ACCESSES)
        if kind == 24:
            values = r.choice([f"({e()})", f"({e()},)", f"({e()}, {e()})", "{'a': 1}"])
            return quoted(r.choice(PERCENTS)) + " % " + values
        if kind == 25:
            return quoted(r.choice(BRACES)) + f".format({e()}" + r.choice([")", f", {e()})"])
        if kind == 26:
            return f"-({e()})"
        if kind == 27:
            return f"({r.choice(['1', 'n', 'f', e()])} < {e()} <= {e()})"
        if kind == 28:
            return f"({e()}).{r.choice(['role', 'x', 'content', 'a'])}"
        return e()

    # Statements, with random whitespace and its control around the tags.

    def tag(self, inside):
        return "{%" + self.r.choice(["", "", "-", "+"]) + " " + inside + " " + self.r.choice(["", "", "-", "+"]) + "%}"

    def text(self):
        return self.r.choice(["", " ", "\n", "  \n", "\n  ", "a", "a ", " a", "a\n", "\n a\n\n", "\t", "b\n  ", "\u3000", "x\r\ny", "}}", "%"])

    def output(self):
        return "{{" + self.r.choice(["", "", "-"]) + " " + self.expression(1) + " " + self.r.choice(["", "", "-"]) + "}}"

    def statement(self, depth, in_loop=False):
        r = self.r
        kind = r.randrange(14) if depth > 0 else r.randrange(4)
        body = lambda loop=in_loop: self.body(depth - 1, loop)
        if kind < 2:
            return self.output()
        if kind == 2:
            return self.tag(f"set {r.choice(['a', 'b', 'ns.x'])} = {self.expression(1)}")
        if kind == 3:
            return r.choice(["{#" + r.choice(["", "-", "+"]) + " note " + r.choice(["", "-", "+"]) + "#}", "{{ a }}{{ ns.x }}", self.tag("raw") + "{{ x }}" + self.text() + self.tag("endraw")])
        if kind in (4, 5):
            middle = self.tag(f"elif {self.expression(1)}") + body() if r.random() < 0.3 else ""
            other = self.tag("else") + body() if r.random() < 0.5 else ""
            return self.tag(f"if {self.expression(1)}") + body() + middle + other + self.tag("endif")
        if kind in (6, 7, 8):
            items = r.choice(["l", "ls", "lm", "range(3)", "d", "s1[:3]", "e", "undef", "d.items()", "ls|reverse", "l|select('odd')"])
            test = r.choice(["", "", " if a", " if i", " if i != 1"])
            inner = body(True) + r.choice(["{{ i }}", "{{ loop.index }}{{ loop.last }}", "{{ loop.length }}", "{{ loop.previtem }}"])
            other = self.tag("else") + body() if r.random() < 0.3 else ""
            return self.tag(f"for i in {items}{test}") + inner + other + self.tag("endfor")
        if kind == 9:
            return self.tag(r.choice(["set a", "set a | upper"])) + body(False) + self.tag("endset") + "{{ a }}"
        if kind == 10:
            return self.tag("macro m(x, y=2)") + body(False) + "{{ x }}{{ y }}" + self.tag("endmacro") + r.choice(["{{ m(1) }}", "{{ m(x=a, y=b) }}", "{{ m() }}", "{{ m(1, 2, 3) }}"])
        if kind == 11:
            return self.tag(f"with a = {self.expression(1)}") + body() + self.tag("endwith")
        if kind == 12:
            return self.tag(r.choice(["filter upper", "filter trim | title"])) + body(False) + self.tag("endfilter")
        if in_loop:
            return self.tag(f"if {self.expression(0)}") + self.tag(r.choice(["break", "continue"])) + self.tag("endif")
        return self.tag("generation") + body(False) + self.tag("endgeneration")

    def body(self, depth, in_loop=False):
        return "".join(self.text() + self.statement(depth, in_loop) for _ in range(self.r.randrange(3))) + self.text()

    def template(self):
        return self.tag("set ns = namespace(x=0)") + self.body(3) + self.statement(3) + self.text()

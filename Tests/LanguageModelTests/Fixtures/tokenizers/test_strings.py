"""The texts that tokenizers are compared on. TokenizerStrings.swift makes the same ones."""

MASK = (1 << 64) - 1

# Ranges of scalars, first and one past the last.
RANGES = [
    (0x20, 0x7F), (0x20, 0x7F), (0x61, 0x7B), (0x30, 0x3A), (0x00, 0x20), (0x80, 0x100), (0x100, 0x250), (0x250, 0x300),
    (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0xE00, 0x1000), (0x1100, 0x1200), (0x1200, 0x1800),
    (0x1800, 0x1E00), (0x1AB0, 0x1B00), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2400), (0x2400, 0x2E80),
    (0x3000, 0x3100), (0x4E00, 0xA000), (0xA640, 0xAC00), (0xAC00, 0xD7A4), (0xD7B0, 0xD800), (0xE000, 0xE100),
    (0xF900, 0xFB50), (0xFE00, 0xFE30), (0xFF00, 0x10000), (0x10000, 0x11000), (0x11000, 0x12000), (0x16000, 0x17000),
    (0x1C000, 0x1D300), (0x1D400, 0x1D800), (0x1E000, 0x1F000), (0x1F300, 0x1FB00), (0x20000, 0x20100),
    (0xE0000, 0xE0200), (0x10FF00, 0x110000),
]

FRAGMENTS = [
    " ", "  ", "   ", "\n", "\r\n", "\r\n\r\n", "\r", "\t", "\t\t", " \n", "\n ", "\u00a0", "\u0085", "\u2028", "\u3000",
    "\u180e", "\u200b", "\ufeff", "\u200d", "\ufe0f", "'s", "'S", "'ll", "'LL", "'Ve", "'re", "'d", "'m", "'t",
    "'\u017f", "\u2019s", "n't", " the", "The ", " of", "and", "License", "permission", "copyright", "1", "12", "123",
    "1234567", "3.14", "1,000", "\u0663\u0664\u0665", "\u0967\u0968", "\u00b2\u00bd", "\u2163", "\U0001d7d8", "!", "?!",
    "...", "()", "//", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|im", "<w>", "<l>", "<r>",
    "<lr>", " <lr> ", "Angstro\u0308m", "A\u030angstr\u00f6m", "\u00c5ngstr\u00f6m", "e\u0301", "\u00e9", "q\u0323\u0307",
    "q\u0307\u0323", "\u1100\u1161\u11a8", "\uac01", "\uac00\u11a8", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u0915\u094d\u0937", "\u0e33", "\u05d0\u05b7", "\ufffd", "\ue000",
    "\u0378", "\U000e0001", "\uf900", "\u2126", "\u212b", "\ufb01", "\u1e9e", "\u00df", "\u0130", "\u0131",
]

NASTY = [
    "", " ", "  ", "\n", "\r\n", "\r\n\r\n\r\n", " \r\n ", "\t", "\t\tx", "a", " a", "  a", "a ", "a  ", " a b  c   d    ",
    "Hello, world!", "It's he'll I'M WE'VE you'RE they'D can'T", "'\u017f '\u017ft x'\u017f", "don\u2019t 'til 's 'S s'",
    "\u00a0a\u00a0\u00a0b", "a\u0085b\u0085\u0085c", "a\u2028b\u2029c", "\u3000x\u3000\u3000y", "\u180ea\u180e b", "\ufeffx",
    "1", "12", "123", "1234", "12345", "1234567890", "x1y22z333", "1.5e-10", "\u0661\u0662\u0663\u0664", "\u0967\u0968\u0969",
    "\u00bc\u00bd\u00be \u00b2\u00b3", "\u2160\u2161\u216b", "\U0001d7ce\U0001d7cf", "\u4e00\u4e8c\u4e09 \u5341",
    "e\u0301 \u00e9 E\u0301", "a\u0301\u0323 a\u0323\u0301", "\u0301a", "q\u0307\u0323", "\u1e9b\u0323", "\u212b \u2126 \u212a",
    "\u1100\u1161\u11a8 \uac00\u11a8 \uac01", "\u1100\u1161\u1161", "\u0915\u093c \u0958", "\u0344 \u0340 \u0341",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
    "\U0001f44d\U0001f3fd\U0001f44d", "\u2764\ufe0f \u2764", "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\ufffd\ufffd", "\ue000\uf8ff", "\U000f0000 \U0010ffff", "\ufffe\uffff", "\u0378\u0379", "\U000e0fff", "\x00a\x01\x7f",
    "\x1b[0m", "\u200b\u200c\u200d\u2060", "\u202aabc\u202c", "\u00ad soft\u00adhyphen", "\ud7b0\ud7cb", "\U00011938",
    "\U00011935\U00011930", "\u0d4a \u0b94 \u0cca", "\u0f73 \u0f75 \u0f81", "\U0001d15e\U0001d15f", "\u0149 \u01f0 \u0390",
    "\ufb01\ufb03 \u3392 \uff21\uff11\uff76\uff9e", "\u32ff\U0001f16c", "\u0898\u0899 \u1ac1 \U00010eab",
    "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|><|im_end|><|endoftext|>", "<|im_start<|im_end|>", "<|im<|im|>", "<<w>>",
    "<w>", " <w> ", "a<w>", "<w>a", "a <w> b", "\u0301<w>", "_<w>", "<w>\u0663", "-<w>-", "<w><w>", "\u00e9<w>\u00e9",
    "a <l> b", "a  <l>  b", "\t<l>\n", "<l><l>", "a\u00a0<l>", "a <r> b", "a <r>  b", "<r>\u3000x", "<r> <l> x", "<r> <r> <r>",
    "x <lr> <lr> y", " <lr> ", "<lr>", "\u00c5ngstr\u00f6m", "A\u030angstro\u0308m", "x\u212bngstr\u00f6mx", "\u00c5ngstrom",
    "<|begin_of_text|>x<|end_of_text|>", "<|endoftext|", "|endoftext|>", "</s><s>", "a" * 47, "a" * 48, "a" * 49, "ab" * 300,
    "a" * 1000, " " * 1000, " " * 1000 + "x", "\n" * 300, "\r\n" * 300 + " x", "!" * 500, "7" * 100, "\u4e2d" * 200,
    "e\u0301" * 100, "\u0301" * 100, "a" + "\u0323\u0301" * 40 + "\u0327", "x\u0327" + "\u0301" * 33 + "\u0323",
    "def f(x):\n\treturn x ** 2  # square\n\n\n", "{\"key\": [1, 2.5, null]}\n", "https://example.org/a?b=c&d=%20#e",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0407\u0439", "\u05e9\u05c1\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0e33", "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u3053\u3093\u306b\u3061\u306f\u3002",
    "Ti\u1ebfng Vi\u1ec7t \u00fcber na\u00efve \u0130stanbul \u00df\u1e9e", "\u01c5 \u02b0 \u0295 \ua7db \u1c89 \U00010d50\U00010d4a",
]


class SplitMix64:
    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % bound


def random_string(index):
    random = SplitMix64(index * 0x632BE59BD9B4E019)
    text = []
    for _ in range(random.below(24)):
        if random.below(3) == 0:
            text.append(FRAGMENTS[random.below(len(FRAGMENTS))])
        else:
            first, end = RANGES[random.below(len(RANGES))]
            text.append(chr(first + random.below(end - first)))
    return "".join(text)


def scalars(block, size):
    return [chr(v) for v in range(block * size, (block + 1) * size) if not 0xD800 <= v < 0xE000]


def scalar_text(block, size):
    """Each scalar of a block between letters, before digits, doubled, beside a token that stands alone, after a space."""
    return "".join(f"a{c}1 {c}{c}<w>{c} <w>\n" for c in scalars(block, size))


def combining_text(block, size):
    """Each scalar of a block among marks of other combining classes, and after letters that compose."""
    return "".join(f"a{c}\u0345\u0334{c}\u0301{c} \u1100{c}\uac00{c}\u0323{c}\u0307e\u0305{c}\n" for c in scalars(block, size))


def fnv(data):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def digest(ids):
    """24 bits of the hash of ids, as six hexadecimal digits."""
    value = fnv(b"".join(i.to_bytes(4, "little") for i in ids))
    return f"{(value ^ value >> 24 ^ value >> 48) & 0xFFFFFF:06x}"


def digest_text(text):
    value = fnv(text.encode())
    return f"{(value ^ value >> 24 ^ value >> 48) & 0xFFFFFF:06x}"

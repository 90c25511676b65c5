"""What transformers makes of files of a model folder that say one thing in several places, or contradict each other.

usage: python make_cases.py        (torch, transformers 5.24, tokenizers 0.23, peft 0.21, mlx-lm 0.32)

Writes cases.json: changes to the models and tokenizers of this folder, and the ids or logits that come out. Names,
texts and weights are made up.
"""
import copy, json, os, shutil, tempfile
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

transformers.logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))
NEW = "<|tool|>"
TEXTS = ["a <|tool|> b", "x <|im_end|>  y<|tool|>", "one <|new|><|pad|> two\n<|endoftext|> é", "<|im_start|>user"]


def flags(content, **other):
    return {**dict(content=content, lstrip=False, rstrip=False, normalized=False, single_word=False, special=True), **other}


def typed(content, **other):
    return {**flags(content, **other), "__type": "AddedToken"}


def tokenizer_case(name, model, config=None, special=None, added=None, model_type=None):
    folder = tempfile.mkdtemp()
    source = f"{HERE}/tokenizers/{model}"
    tokenizer = json.load(open(source + "/tokenizer.json"))
    shutil.copy(source + "/tokenizer.json", folder)
    files = {}
    own = {"model_type": model_type or {"qwen2": "qwen2", "llama3": "llama", "smollm": "llama"}[model]}
    files["config.json"] = own
    for file, content in (("tokenizer_config.json", config), ("special_tokens_map.json", special), ("added_tokens.json", added)):
        if content is not None:
            files[file] = content
    for file, content in files.items():
        json.dump(content, open(f"{folder}/{file}", "w"))
    used = AutoTokenizer.from_pretrained(folder)
    ids = [used(text)["input_ids"] for text in TEXTS]
    shutil.rmtree(folder)
    return {"name": name, "tokenizer": model, "files": files, "texts": TEXTS, "ids": ids, "eos": used.eos_token_id}


def tokenizer_cases():
    def all_added(model):
        tokens = json.load(open(f"{HERE}/tokenizers/{model}/tokenizer.json"))["added_tokens"]
        return {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}, max(t["id"] for t in tokens)

    for model in ("llama3", "qwen2", "smollm"):
        known, last = all_added(model)
        end = known[str(last)]["content"]
        b = {"eos_token": end, "tokenizer_class": "PreTrainedTokenizerFast"}
        listed = {**known, str(last + 1): flags(NEW)}
        changed = copy.deepcopy(listed)
        changed[str(last)].update(lstrip=True, rstrip=True)
        changed[str(last + 1)].update(lstrip=True)
        yield "plain", model, b, None, None
        yield "additional", model, {**b, "additional_special_tokens": [end, NEW]}, None, None
        yield "additional objects", model, {**b, "additional_special_tokens": [typed(NEW, lstrip=True)]}, None, None
        yield "extra list", model, {**b, "extra_special_tokens": [NEW, "<|new|>"]}, None, None
        yield "extra object", model, {**b, "extra_special_tokens": {"tool_token": NEW}}, None, None
        yield "extra before additional", model, {**b, "extra_special_tokens": [NEW], "additional_special_tokens": ["<|new|>"]}, None, None
        yield "extra empty", model, {**b, "extra_special_tokens": [], "additional_special_tokens": ["<|new|>"]}, None, None
        yield "a key of its own", model, {**b, "image_token": NEW}, None, None
        yield "a new end", model, {**b, "eos_token": NEW}, None, None
        yield "a new end as object", model, {**b, "eos_token": typed(NEW, rstrip=True)}, None, None
        yield "a new pad first", model, {**b, "pad_token": "<|pad|>", "additional_special_tokens": [NEW]}, None, None
        yield "named out of order", model, {**b, "mask_token": NEW, "unk_token": "<|new|>", "cls_token": "<|pad|>"}, None, None
        yield "decoder", model, {**b, "added_tokens_decoder": listed}, None, None
        yield "decoder with flags", model, {**b, "added_tokens_decoder": changed}, None, None
        yield "decoder with gaps", model, {**b, "added_tokens_decoder": {**known, str(last + 9): flags("<|pad|>"), str(last + 5): flags(NEW, special=False, normalized=True)}}, None, None
        yield "decoder named", model, {**b, "eos_token": NEW, "added_tokens_decoder": {**known, str(last + 1): flags(NEW, special=False)}}, None, None
        yield "map", model, b, {"eos_token": NEW, "additional_special_tokens": ["<|new|>"]}, None
        yield "map of objects", model, b, {"eos_token": {"content": NEW, "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}}, None
        yield "map beside a decoder", model, {**b, "added_tokens_decoder": known}, {"eos_token": NEW}, None
        yield "map adds to extra", model, {**b, "extra_special_tokens": ["<|new|>"]}, {"extra_special_tokens": [NEW]}, None
        yield "map alone", model, None, {"eos_token": end, "additional_special_tokens": [NEW]}, None
        yield "map with keys of its own", model, {**b, "x_token": NEW}, {"y_token": "<|new|>", "z_token": "<|pad|>"}, None
        yield "added_tokens.json", model, b, None, {NEW: last + 2, "<|new|>": last + 1, end: last}
        yield "added_tokens.json special", model, {**b, "additional_special_tokens": [NEW]}, None, {NEW: last + 1, "<|new|>": last + 2}
        yield "add_bos_token", model, {**b, "bos_token": end, "add_bos_token": True, "add_eos_token": True}, None, None
        yield "split special tokens", model, {**b, "split_special_tokens": True, "additional_special_tokens": [NEW]}, None, None


def logits_case(name, model, change=None, tensors=None, length=40):
    folder = tempfile.mkdtemp()
    shutil.copytree(f"{HERE}/models/{model}", folder, dirs_exist_ok=True)
    os.system(f"chmod -R u+w {folder}")
    config = json.load(open(folder + "/config.json"))
    for key, value in (change or {}).items():
        if value == "absent":
            config.pop(key, None)
        else:
            config[key] = value
    json.dump(config, open(folder + "/config.json", "w"))
    weights = load_file(folder + "/model.safetensors")
    for new, (source, factor) in (tensors or {}).items():
        weights[new] = weights[source].clone() * factor
    save_file(weights, folder + "/model.safetensors")
    ids = [(i * 37 + 11) % config["vocab_size"] for i in range(length)]
    net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        logits = net(torch.tensor([ids])).logits[0, -1]
    shutil.rmtree(folder)
    return {
        "name": name, "model": model, "config": change or {}, "tensors": {k: list(v) for k, v in (tensors or {}).items()},
        "ids": ids, "logits": [float(f"{x:.8g}") for x in logits[:48].tolist()],
    }


def logits_cases():
    default = {"rope_theta": 5e5, "rope_type": "default"}
    yield "linear beside parameters", "llama", {"rope_parameters": default, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}
    yield "yarn beside parameters", "qwen2_f32", {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}
    yield "theta in rope_scaling", "llama", {"rope_parameters": "absent", "rope_scaling": {"rope_type": "linear", "factor": 2.0, "rope_theta": 777.0}}
    yield "llama3 by its old name", "llama", {"rope_parameters": "absent", "rope_theta": 9e3, "rope_scaling": {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}
    yield "yarn in parameters", "qwen2_f32", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 3.0, "original_max_position_embeddings": 48, "beta_fast": 20.0}}
    yield "dynamic within", "qwen2_f32", {"rope_scaling": {"type": "dynamic", "factor": 3.0}}
    yield "dynamic beyond", "qwen2_f32", {"rope_scaling": {"type": "dynamic", "factor": 3.0}, "max_position_embeddings": 24}
    longrope = {"type": "longrope", "short_factor": [1.0, 1.25, 1.5, 2.0], "long_factor": [2.0, 3.0, 4.0, 6.0]}
    yield "longrope short", "qwen2_f32", {"rope_scaling": {**longrope, "original_max_position_embeddings": 64}}
    yield "longrope long", "qwen2_f32", {"rope_scaling": longrope, "original_max_position_embeddings": 32}
    yield "a head of its own", "llama", {}, {"lm_head.weight": ("model.embed_tokens.weight", -0.5)}
    yield "the same head twice", "llama", {}, {"lm_head.weight": ("model.embed_tokens.weight", 1)}
    yield "fewer layers", "llama", {"num_hidden_layers": 2}
    yield "biases without a key", "llama", {}, {"model.layers.1.self_attn.q_proj.bias": ("model.norm.weight", 1)}


def value(name, index):
    """Element `index` of the tensor `name`: numbers that f32 holds exactly, so that no file of weights is needed."""
    salt = sum(name.encode()) % 97
    return ((index * 37 + salt * 11) % 101 - 50) / 512


def filled(shapes):
    tensors = {}
    for name, shape in shapes.items():
        count = 1
        for extent in shape:
            count *= extent
        tensors[name] = torch.tensor([value(name, i) for i in range(count)], dtype=torch.float32).reshape(shape)
    return tensors


def ids_of(model, length=24):
    size = json.load(open(f"{HERE}/models/{model}/config.json"))["vocab_size"]
    return [(i * 37 + 11) % size for i in range(length)]


def peft_case(name, model, drop=(), rename=None, keys=None, **config):
    """The files that PEFT writes for a LoraConfig, other numbers in the tensors, and the logits with them.

    drop: ends of names of tensors that are left out; rename: what becomes of the names afterwards; keys: added to the
    config.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    folder = tempfile.mkdtemp()
    base = lambda: AutoModelForCausalLM.from_pretrained(f"{HERE}/models/{model}", dtype=torch.float32, attn_implementation="eager").eval()
    get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **config)).save_pretrained(folder)
    written = json.load(open(folder + "/adapter_config.json"))
    written["base_model_name_or_path"] = "model"
    written.update(keys or {})
    if isinstance(written["target_modules"], list):
        written["target_modules"].sort()
    shapes = {k: list(v.shape) for k, v in load_file(folder + "/adapter_model.safetensors").items()}
    shapes = {k: v for k, v in sorted(shapes.items()) if not any(end in k for end in drop)}
    json.dump({k: v for k, v in written.items() if k not in (keys or {})}, open(folder + "/adapter_config.json", "w"))
    save_file(filled(shapes), folder + "/adapter_model.safetensors")
    net = PeftModel.from_pretrained(base(), folder).eval()
    ids = ids_of(model)
    with torch.no_grad():
        logits = net(torch.tensor([ids])).logits[0, -1]
    shutil.rmtree(folder)
    return {
        "name": name, "model": model, "form": "peft", "config": written, "ids": ids,
        "tensors": [[(rename or (lambda n: n))(k), k, v] for k, v in shapes.items()],
        "logits": [float(f"{x:.8g}") for x in logits[:48].tolist()],
    }


def peft_cases():
    llama, qwen = "llama", "qwen2_f32"
    plain = dict(r=3, lora_alpha=6)
    yield peft_case("regex", llama, **plain, target_modules=r".*layers\.[0-1]\.self_attn\.q_proj|.*layers\.[2-3]\.mlp\.down_proj")
    yield peft_case("list and exclude", qwen, **plain, target_modules=["q_proj", "v_proj"], exclude_modules=["layers.0.self_attn.q_proj"])
    yield peft_case("regex and exclude by regex", qwen, **plain, target_modules=r".*\.(q|k)_proj", exclude_modules=r".*\.[13]\..*k_proj")
    yield peft_case("whole paths", qwen, **plain, target_modules=["model.layers.1.mlp.up_proj", "model.layers.3.self_attn.o_proj", "layers.0.mlp.down_proj"])
    yield peft_case("names that the model lacks", qwen, **plain, target_modules=["q_proj", "v_proj", "query_key_value", "W_pack", "c_attn", "q", "v"])
    yield peft_case("all-linear", llama, **plain, target_modules="all-linear")
    yield peft_case("rank and alpha patterns", qwen, **plain, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"v_proj": 5, "layers.2.mlp.down_proj": 2}, alpha_pattern={r".*\.0\.self_attn\.q_proj": 1, "down_proj": 9})
    yield peft_case("rank patterns with rsLoRA", llama, **plain, use_rslora=True, target_modules=["gate_proj", "o_proj"], rank_pattern={r"^model\.layers\.[02]\..*": 4})
    yield peft_case("layers_to_transform", qwen, **plain, target_modules=["k_proj", "up_proj"], layers_to_transform=[1, 3])
    yield peft_case("one layer", qwen, **plain, target_modules=["k_proj"], layers_to_transform=2, layers_pattern="layers")
    yield peft_case("the adapter's name", qwen, rename=lambda n: n.replace(".weight", ".default.weight"), **plain, target_modules=["q_proj", "v_proj"])
    yield peft_case("another adapter's name", qwen, rename=lambda n: n.replace(".weight", ".my_run.weight"), **plain, target_modules=["q_proj"])
    yield peft_case("keys that are off", qwen, keys={"future_flag": False, "future_number": 0, "future_text": "", "future_choice": "none", "future_list": [], "future_object": {}, "future_nothing": None}, **plain, target_modules=["q_proj"])
    yield peft_case("modules without tensors", qwen, drop=["layers.1.self_attn.q_proj", "v_proj"], **plain, target_modules=["q_proj", "v_proj"])
    yield peft_case("a head of its own", qwen, **plain, target_modules=["q_proj"], modules_to_save=["lm_head"])
    yield peft_case("embedding and head", qwen, **plain, target_modules=["v_proj"], modules_to_save=["embed_tokens", "lm_head"])
    yield peft_case("the embedding of a tied model", llama, **plain, target_modules=["q_proj"], modules_to_save=["embed_tokens"])
    yield peft_case("the last norm", qwen, rename=lambda n: n.replace("model.norm.weight", "model.norm.modules_to_save.default.weight"), **plain, target_modules=["q_proj"], modules_to_save=["norm"])


def mlx_case(name, model, shapes, **config):
    """What mlx-lm computes with an adapter of these tensors."""
    import mlx.core as mx
    from mlx_lm.utils import load_model
    from mlx_lm.tuner.utils import load_adapters
    from pathlib import Path

    folder = tempfile.mkdtemp()
    tensors = filled(shapes)
    save_file(tensors, folder + "/adapters.safetensors")
    json.dump(config, open(folder + "/adapter_config.json", "w"))
    net, _ = load_model(Path(f"{HERE}/models/{model}"), model_config={"rope_theta": 10000.0})  # it reads no rope_parameters
    net = load_adapters(net, folder)
    ids = ids_of(model)
    logits = net(mx.array([ids]))[0, -1].astype(mx.float32)
    shutil.rmtree(folder)
    return {
        "name": name, "model": model, "form": "mlx", "config": config, "ids": ids,
        "tensors": [[k, k, v] for k, v in shapes.items()], "logits": [float(f"{x:.8g}") for x in logits[:48].tolist()],
    }


def mlx_cases():
    size = {"self_attn.q_proj": (32, 32), "self_attn.v_proj": (32, 16), "mlp.down_proj": (48, 32)}

    def shapes(modules, rank=2):
        both = {}
        for layer, path in modules:
            both[f"model.layers.{layer}.{path}.lora_a"] = [size[path][0], rank]
            both[f"model.layers.{layer}.{path}.lora_b"] = [rank, size[path][1]]
        return both

    q, v, d = size
    lora = {"rank": 2, "scale": 2.0, "dropout": 0.0}
    some = lambda layers, paths: [(layer, path) for layer in layers for path in paths]
    yield mlx_case("no keys", "qwen2_f32", shapes(some([2, 3], [q, v])), fine_tune_type="lora", num_layers=2, lora_parameters=lora)
    yield mlx_case("no keys, all layers", "qwen2_f32", shapes(some([0, 3], [d]) + [(1, q)]), fine_tune_type="lora", num_layers=-1, lora_parameters=lora)
    yield mlx_case("keys with fewer tensors", "qwen2_f32", shapes([(3, q), (2, v)]), fine_tune_type="lora", num_layers=3, lora_parameters={**lora, "keys": [q, v, d]})
    yield mlx_case("keys that the model lacks", "qwen2_f32", shapes(some([3], [q])), num_layers=1, lora_parameters={**lora, "keys": [q, "self_attn.qkv_proj", "mlp.gate"]})
    yield mlx_case("whole paths", "qwen2_f32", shapes([(0, d), (3, q)]), num_layers=1, lora_parameters={**lora, "keys": [q, "model.layers.0.mlp.down_proj"]})


SPACE = "\u2581"
STRINGS = [
    "Hello world", " two  spaces ", "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m", "line one\nline two\r\n\ttab", "", " ", "   ", "a",
    "The cat's hat, 12345 times; 3.14!", "\u65e5\u672c\u8a9e\u306e\u6587 and \ud55c\uad6d\uc5b4", "emoji \U0001f469\u200d\U0001f680 \U0001f680\U0001f680", "<s>start</s> end",
    "x</s>", "</s> y", "  </s>  z </s></s>", "under" + SPACE + "score " + SPACE + SPACE, "<0x41><0x0A>", "the the the theater", "\x00\x7f\u00a0nbsp", "e\u0301 \ufb01 \u00b2 \u00bd",
    "word " * 30, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "UPPER lower MiXed", "<tool> in <tool>the middle<tool>", "1,234,567 and 007", "--- ... ?!?! \u2014\u201cquoted\u201d", "\u00b9\u00b2\u00b3 \u0664\u0665",
]


def small_models():
    """Vocabularies of characters, as SentencePiece has them, and of bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    corpus = ["The cat sat on the mat and the hat. Hello world, the theater is there; words and more words: 1234 caf\u00e9."] * 3
    marked = [SPACE + line.replace(" ", SPACE) for line in corpus]
    sp = Tokenizer(models.BPE())
    sp.train_from_iterator(marked, trainers.BpeTrainer(vocab_size=110, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"]))
    trained = json.loads(sp.to_str())["model"]
    bytes_first = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"<0x{b:02X}>": b + 3 for b in range(256)}}
    vocab = dict(bytes_first)
    for token in sorted(trained["vocab"], key=trained["vocab"].get):
        vocab.setdefault(token, len(vocab))
    # One byte without a token: characters that need it are unknown.
    holes = {t: i for t, i in vocab.items() if t != "<0xF0>"}
    holes = {t: i for i, t in enumerate(sorted(holes, key=holes.get))}
    level = Tokenizer(models.BPE())
    level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    level.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=330, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return {
        "bytes": {"vocab": vocab, "merges": trained["merges"]},
        "holes": {"vocab": holes, "merges": trained["merges"]},
        "plain": {"vocab": trained["vocab"], "merges": trained["merges"]},
        "level": {k: json.loads(level.to_str())["model"][k] for k in ("vocab", "merges")},
    }


def pipeline_cases():
    """Tokenizers that are not byte-level, or have steps after ByteLevel: ids of texts, and texts of these ids."""
    from tokenizers import Tokenizer

    bases = small_models()
    sequence = lambda kind, key, *items: {"type": "Sequence", key: list(items)} if kind else None
    prepend = {"type": "Prepend", "prepend": SPACE}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    norm = lambda *items: {"type": "Sequence", "normalizers": list(items)}
    pre = lambda *items: {"type": "Sequence", "pretokenizers": list(items)}
    meta = lambda scheme, split: {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}
    dec = lambda *items: {"type": "Sequence", "decoders": list(items)}
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    fallback, fuse = {"type": "ByteFallback"}, {"type": "Fuse"}
    strip = lambda n, m=0: {"type": "Strip", "content": " ", "start": n, "stop": m}
    split = lambda regex, behavior, invert=False: {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}
    level = lambda prefix, regex: {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
    llama2 = dec(back, fallback, fuse, strip(1))
    bos = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    punctuation = lambda behavior: {"type": "Punctuation", "behavior": behavior}
    digits = lambda one: {"type": "Digits", "individual_digits": one}
    sp = dict(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    variants = [
        ("Llama 2", "bytes", sp, norm(prepend, spaces), None, llama2, bos),
        ("Llama 2, one byte missing", "holes", sp, norm(prepend, spaces), None, llama2, bos),
        ("one byte missing, no fusing", "holes", {**sp, "fuse_unk": False}, norm(prepend, spaces), None, llama2, None),
        ("no bytes, fused", "plain", {**sp, "byte_fallback": False}, norm(prepend, spaces), None, llama2, None),
        ("no bytes, not fused", "plain", {**sp, "byte_fallback": False, "fuse_unk": False}, norm(prepend, spaces), None, llama2, None),
        ("nothing for the unknown", "plain", dict(unk_token=None, fuse_unk=False, byte_fallback=False), norm(prepend, spaces), None, llama2, None),
        ("Mistral", "bytes", sp, None, meta("first", False), llama2, bos),
        ("Metaspace always", "bytes", sp, None, meta("always", True), {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}, None),
        ("Metaspace never", "bytes", sp, None, meta("never", True), {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": True}, None),
        ("Metaspace first, split", "bytes", sp, None, meta("first", True), dec(back, fallback, fuse, strip(2)), None),
        ("Gemma", "bytes", sp, spaces, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}, dec(back, fallback, fuse), bos),
        ("whole words", "bytes", {**sp, "ignore_merges": True}, norm(prepend, spaces), None, llama2, None),
        ("NFKC and lower case", "bytes", sp, norm({"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True}, prepend, {"type": "Replace", "pattern": {"Regex": " +"}, "content": SPACE}), None, llama2, None),
        ("digits before Metaspace", "bytes", sp, None, pre(digits(True), meta("always", False)), llama2, None),
        ("white space dropped", "bytes", sp, None, pre({"type": "WhitespaceSplit"}, punctuation("Isolated")), dec(fallback, fuse), None),
        ("no decoder", "plain", sp, norm(prepend, spaces), None, None, None),
        ("Falcon 3", "level", {}, None, pre(punctuation("Contiguous"), level(False, True), digits(False), split("[0-9][0-9][0-9]", "Isolated")), level(True, True), None),
        ("steps after ByteLevel with a prefix", "level", {}, None, pre(level(True, False), digits(True), split("\u0120", "MergedWithNext")), level(True, True), None),
        ("DeepSeek coder", "level", {}, None, pre(split("[\r\n]", "Isolated"), split("\\s?\\p{L}+", "Isolated"), split("\\s?\\p{P}+", "Isolated"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", "Isolated"), digits(True), level(False, False)), level(True, True), None),
        ("DeepSeek V3", "level", {}, norm(), pre(split("\\p{N}{1,3}", "Isolated"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", "Isolated"), split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+", "Isolated"), level(False, False)), dec(level(True, True)), None),
    ]
    added = lambda vocab: [
        {"id": vocab[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t in ("<unk>", "<s>", "</s>") if t in vocab
    ] + [{"id": len(vocab), "content": "<tool>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": True, "special": False}]
    result = []
    for name, base, flags, normalizer, pre_tokenizer, decoder, post in variants:
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **flags}
        parts = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added(bases[base]["vocab"]), "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post, "decoder": decoder}
        tokenizer = Tokenizer.from_str(json.dumps({**parts, "model": {**model, **bases[base]}}))
        ids = [tokenizer.encode(text).ids for text in STRINGS]
        result.append({
            "name": name, "base": base, "parts": parts, "model": model, "ids": ids,
            "texts": [tokenizer.decode(i, skip_special_tokens=False) for i in ids], "bare": [tokenizer.decode(i, skip_special_tokens=True) for i in ids],
        })
    return [{"bases": bases, "strings": STRINGS}] + result


if __name__ == "__main__":
    cases = {
        "pipelines": pipeline_cases(),
        "adapters": [*peft_cases(), *mlx_cases()],
        "tokenizers": [tokenizer_case(*case) for case in tokenizer_cases()],
        "logits": [logits_case(*case) for case in logits_cases()],
    }
    with open(f"{HERE}/cases.json", "w") as file:
        file.write("{\n")
        for i, (kind, items) in enumerate(cases.items()):
            file.write(f' "{kind}": [\n')
            file.write(",\n".join("  " + json.dumps(item, ensure_ascii=True) for item in items))
            file.write("\n ]" + ("," if i + 1 < len(cases) else "") + "\n")
        file.write("}\n")
    print({kind: len(items) for kind, items in cases.items()})

"""Makes golden/diff.json: how far the adapter of training/qwen2_module_map is from the one that it started from, by numpy.

    python make_training_golden.py && python make_diff_golden.py

Products are formed as whole matrices, (alpha/r) B A, and their singular values are LAPACK's.
"""

import json
import os

import numpy as np
from safetensors.numpy import load_file

from golden_models import HERE, adapter_folder, write_json
from make_training_golden import type_tier

VARIANT = "qwen2_module_map"


def effective_rank(values):
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def compare(a, b, modules, scale):
    """Norms over the stored numbers, and of the products, of some modules together; the mean of their ranks."""
    square = lambda x: float((x.astype(np.float64) ** 2).sum())
    names = [f"base_model.model.{m}.lora_{s}.weight" for m in modules for s in "AB"]
    product = lambda side, m: scale * (side[f"base_model.model.{m}.lora_B.weight"].astype(np.float64)
                                       @ side[f"base_model.model.{m}.lora_A.weight"].astype(np.float64))
    rank = lambda side: float(np.mean([effective_rank(np.linalg.svd(product(side, m), compute_uv=False))
                                       for m in modules]))
    root = lambda values: float(np.sqrt(sum(values)))
    return dict(
        numbers=sum(b[n].size for n in names), norm_a=root(square(a[n]) for n in names),
        norm_b=root(square(b[n]) for n in names),
        drift=root(square(b[n].astype(np.float64) - a[n].astype(np.float64)) for n in names),
        product_norm_a=root(square(product(a, m)) for m in modules),
        product_norm_b=root(square(product(b, m)) for m in modules),
        product_drift=root(square(product(b, m) - product(a, m)) for m in modules),
        effective_rank_a=rank(a), effective_rank_b=rank(b))


if __name__ == "__main__":
    folder = os.path.join(HERE, "training", VARIANT)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    with open(os.path.join(adapter_folder("qwen2_f32"), "adapter_config.json")) as f:
        adapter = json.load(f)
    scale = adapter["lora_alpha"] / adapter["r"]
    a = load_file(os.path.join(adapter_folder("qwen2_f32"), "adapter_model.safetensors"))
    b = load_file(os.path.join(folder, "adapter_model.safetensors"))
    modules = sorted({n.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for n in b})
    tiers = [[m for m in modules if type_tier(m, config) == k] for k in range(config["num_tiers"])]
    write_json(os.path.join(HERE, "golden", "diff.json"), dict(
        total=compare(a, b, modules, scale), tiers=[compare(a, b, tier, scale) for tier in tiers],
        modules=[dict(name=m, tier=type_tier(m, config), **compare(a, b, [m], scale)) for m in modules]))

"""The four architectures written out in a few lines of torch, in whatever dtype the weights have.

transformers computes norms, softmax and rotations in float32 whatever the dtype, so it cannot say how large its own
rounding error is. This model can: run in float64 it is the yardstick, and run in float32 it must agree with
transformers, which checks both.
"""

import json
import math
import os
import re

import torch
from safetensors.torch import load_file
from torch.nn.functional import silu


class Model:
    def __init__(self, folder, dtype):
        with open(os.path.join(folder, "config.json")) as f:
            self.config = json.load(f)
        files = [f for f in os.listdir(folder) if f.endswith(".safetensors")]
        self.weights = {k: v.to(dtype) for f in sorted(files) for k, v in load_file(os.path.join(folder, f)).items()}
        self.dtype, self.lora, self.scale = dtype, {}, 0.0

    def load_adapter(self, folder):
        with open(os.path.join(folder, "adapter_config.json")) as f:
            c = json.load(f)
        tensors = load_file(os.path.join(folder, "adapter_model.safetensors"))
        self.scales = {}
        for name, tensor in tensors.items():
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            if module + ".lora_A.weight" in name:
                alphas = (a for p, a in (c.get("alpha_pattern") or {}).items() if re.match(rf"(.*\.)?({p})$", module))
                rank = tensor.shape[0]
                self.scales[module] = next(alphas, c["lora_alpha"]) / (math.sqrt(rank) if c.get("use_rslora") else rank)
        self.lora = {k: v.to(self.dtype).requires_grad_() for k, v in tensors.items()}
        # What is trained as a whole stands for the base model's.
        self.weights.update({k.removeprefix("base_model.model."): v for k, v in self.lora.items() if ".lora_" not in k})

    def linear(self, x, module):
        y = x @ self.weights[module + ".weight"].T
        if module + ".bias" in self.weights:
            y = y + self.weights[module + ".bias"]
        peft = f"base_model.model.{module}"
        if self.lora and peft + ".lora_A.weight" in self.lora:
            y = y + self.scales[module] * (x @ self.lora[peft + ".lora_A.weight"].T) @ self.lora[peft + ".lora_B.weight"].T
        return y

    def norm(self, x, name):
        mean_square = (x * x).mean(-1, keepdim=True)
        return self.weights[name + ".weight"] * x * torch.rsqrt(mean_square + self.config["rms_norm_eps"])

    def inverse_frequencies(self, head_dim):
        c = self.config
        rope = c.get("rope_parameters") or dict(c.get("rope_scaling") or {}, rope_theta=c["rope_theta"])
        f = rope["rope_theta"] ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        if rope.get("rope_type", "default") == "default":
            return f
        assert rope["rope_type"] == "llama3"
        original, factor = rope["original_max_position_embeddings"], rope["factor"]
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        wavelength = 2 * math.pi / f
        s = (original / wavelength - low) / (high - low)
        between = (1 - s) * f / factor + s * f
        f = torch.where(wavelength > original / low, f / factor, torch.where(wavelength < original / high, f, between))
        return f

    def rotate(self, x):
        t, _, d = x.shape
        angle = torch.arange(t, dtype=torch.float64)[:, None] * self.inverse_frequencies(d)[None]
        cos, sin = angle.cos().to(x.dtype)[:, None], angle.sin().to(x.dtype)[:, None]
        a, b = x[..., :d // 2], x[..., d // 2:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def window(self, layer):
        c = self.config
        if c["model_type"] == "mistral":
            return c["sliding_window"]
        return c["sliding_window"] if c.get("use_sliding_window") and layer >= c["max_window_layers"] else None

    def attention(self, x, layer):
        c, prefix, t = self.config, f"model.layers.{layer}.self_attn", x.shape[0]
        d = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
        q = self.linear(x, prefix + ".q_proj").view(t, -1, d)
        k = self.linear(x, prefix + ".k_proj").view(t, -1, d)
        v = self.linear(x, prefix + ".v_proj").view(t, -1, d)
        if c["model_type"] == "qwen3":
            q, k = self.norm(q, prefix + ".q_norm"), self.norm(k, prefix + ".k_norm")
        q, k = self.rotate(q), self.rotate(k)
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(d)
        distance = torch.arange(t)[:, None] - torch.arange(t)[None]
        allowed = distance >= 0
        if self.window(layer) is not None:
            allowed &= distance < self.window(layer)
        weights = scores.masked_fill(~allowed, -math.inf).softmax(-1)
        return self.linear(torch.einsum("hqk,khd->qhd", weights, v).reshape(t, -1), prefix + ".o_proj")

    def logits(self, row):
        x = self.weights["model.embed_tokens.weight"][torch.tensor(row)]
        for i in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{i}"
            x = x + self.attention(self.norm(x, prefix + ".input_layernorm"), i)
            h = self.norm(x, prefix + ".post_attention_layernorm")
            gated = silu(self.linear(h, prefix + ".mlp.gate_proj")) * self.linear(h, prefix + ".mlp.up_proj")
            x = x + self.linear(gated, prefix + ".mlp.down_proj")
        head = self.weights.get("lm_head.weight", self.weights["model.embed_tokens.weight"])
        return self.norm(x, "model.norm") @ head.T

    def loss_sum(self, rows):
        return sum(torch.nn.functional.cross_entropy(self.logits(r)[:-1], torch.tensor(r[1:]), reduction="sum")
                   for r in rows)

    def trainable(self):
        """LoRA tensors under their PEFT names, or without an adapter every weight."""
        if not self.lora:
            self.weights = {k: v.detach().requires_grad_() for k, v in self.weights.items()}
        return self.lora or self.weights

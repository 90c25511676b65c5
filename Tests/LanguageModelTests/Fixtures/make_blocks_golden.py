"""Makes golden/blocks.json and golden/blocks.safetensors: a whole step, in float64, of a model that is longer than two
blocks of everything: of k in products (256, and 512 by tiles), of keys in attention (64), of rows in sums (256 is one
less than its tokens) and of places in the loss (128).

    nl-tool model init --config blocks/config.json --output MODEL --seed 5 --dtype bf16
    python make_blocks_golden.py MODEL

The model is of 8 million parameters, so it is not kept; model init makes the same from the same seed. The adapter, of
rank 2 and scale 2, and the rows are formulas, which WholeBlocksTests has, too. Needs torch and safetensors.
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file

from float64_model import Model

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


def pattern(count, seed):
    """Multiples of 1/4096 between ±50/4096, which float32 has exactly."""
    i = torch.arange(count, dtype=torch.int64) + 1000 * seed
    return ((i * i * 7 + i * 31) % 101 - 50).double() / 4096


def rows(vocabulary):
    return [[(7 * i * i + 13 * i + 5 * j) % vocabulary for i in range(n)] for j, n in enumerate([170, 3, 84])]


model = Model(sys.argv[1], torch.float64)
model.scales = {}
for number, projection in enumerate(PROJECTIONS):
    module = f"model.layers.0.{projection}"
    outputs, inputs = model.weights[module + ".weight"].shape
    model.scales[module] = 2.0
    a, b = pattern(2 * inputs, 2 * number).view(2, inputs), pattern(2 * outputs, 2 * number + 1).view(2, outputs)
    model.lora[f"base_model.model.{module}.lora_A.weight"] = a.clone().requires_grad_()
    model.lora[f"base_model.model.{module}.lora_B.weight"] = b.T.clone().requires_grad_()

token_rows = rows(model.config["vocab_size"])
loss = model.loss_sum(token_rows)
gradients = dict(zip(model.lora, torch.autograd.grad(loss, list(model.lora.values()))))
save_file({f"grad.{k}": v.float().contiguous() for k, v in gradients.items()},
          os.path.join(HERE, "golden", "blocks.safetensors"), metadata={"format": "pt"})
with open(os.path.join(HERE, "golden", "blocks.json"), "w") as f:
    json.dump(dict(loss_sum_float64=loss.item()), f)
    f.write("\n")
print(loss.item(), {k: f"{v.norm().item():.3g}" for k, v in gradients.items()})

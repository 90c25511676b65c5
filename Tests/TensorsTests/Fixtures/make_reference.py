# Writes torch.json: each operation's inputs (f32), outputs and gradients as PyTorch gives them in float64.
#   python make_reference.py          (needs torch; made with torch 2.x)
# The loss of every case is sum(output * weights); the weight of a single number is 1.
import json
import os
import torch
import torch.nn.functional as F

torch.manual_seed(2)


def rand(*shape):
    return torch.empty(*shape, dtype=torch.float32).uniform_(-1, 1).double()


def case(inputs, function):
    for x in inputs.values():
        x.requires_grad_(True)
    output = function(**inputs)
    weights = rand(*output.shape) if output.dim() else torch.ones(())
    (output * weights).sum().backward()
    numbers = lambda t: [float(f"{v:.10g}") for v in t.detach().flatten().tolist()]
    return dict(
        inputs={k: numbers(v) for k, v in inputs.items()},
        shapes={k: list(v.shape) for k, v in inputs.items()},
        weights=numbers(weights),
        output=numbers(output),
        gradients={k: numbers(v.grad) for k, v in inputs.items()},
    )


def linear(x, w, bias, a, b):
    return F.linear(x, w, bias) + 2.0 * (x @ a.T) @ b


def gated(gate, up, w):
    return F.linear(F.silu(gate) * up, w)


def attention(q, k, v, mask=None):
    # one sequence, [tokens, heads, dim]
    q, k, v = (t.transpose(0, 1).unsqueeze(0) for t in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True)
    return y.squeeze(0).transpose(0, 1)


def window(q, k, v):
    t = torch.arange(q.shape[0])
    return attention(q, k, v, mask=(t[None] <= t[:, None]) & (t[None] > t[:, None] - 4))


LABELS = [2, 0, 30, 7]
cases = {
    "linear": case(dict(x=rand(5, 20), w=rand(7, 20), bias=rand(7), a=rand(3, 20), b=rand(3, 7)), linear),
    "rms_norm": case(dict(x=rand(4, 24), w=rand(24)), lambda x, w: F.rms_norm(x, (24,), w, eps=1e-6)),
    "gated_linear": case(dict(gate=rand(4, 12) , up=rand(4, 12), w=rand(6, 12)), gated),
    "attention": case(dict(q=rand(9, 4, 8), k=rand(9, 2, 8), v=rand(9, 2, 8)), attention),
    "attention_window": case(dict(q=rand(9, 4, 8), k=rand(9, 2, 8), v=rand(9, 2, 8)), window),
    "cross_entropy": case(
        dict(x=rand(4, 10), head=rand(31, 10)),
        lambda x, head: F.cross_entropy(F.linear(x, head), torch.tensor(LABELS), reduction="sum"),
    ),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch.json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"))
    f.write("\n")

#!/usr/bin/env python3
"""Writes losses.json: the first losses of the continuum memory demonstration, by PyTorch.

Initial values and vectors are those of `nl-tool cms-demo`, made here anew from the description in
Sources/LanguageModel/ContinuumMemory/ContinuumMemoryData.swift; everything else is PyTorch's own: torch.nn.Linear, GELU,
MSELoss, one torch.optim.Adam a level.

usage: make_losses.py        with torch and numpy
"""

import json
import pathlib

import numpy as np
import torch

CASES = {
    "small": {"width": 24, "inner": 96, "chunks": [1, 4, 16], "batch": 4, "seq": 3, "rate": 1e-2, "seed": 42},
    "notebook": {"width": 768, "inner": 3072, "chunks": [1, 16, 256], "batch": 32, "seq": 16, "rate": 1e-4, "seed": 42},
}
STEPS = 20
MEMORY_WEIGHTS, MEMORY_VECTORS = 21, 22
MASK = np.uint64(0xFFFFFFFF)


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011) of arrays of words, each held in 64 bits."""
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    k = [np.uint64(word) if np.isscalar(word) else np.asarray(word, dtype=np.uint64) for word in key]
    for _ in range(10):
        high, low = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(low >> np.uint64(32)) ^ c[1] ^ k[0], low & MASK, (high >> np.uint64(32)) ^ c[3] ^ k[1], high & MASK]
        k = [(k[0] + np.uint64(0x9E3779B9)) & MASK, (k[1] + np.uint64(0xBB67AE85)) & MASK]
    return c


def key_of(purpose, seed, number):
    zero = np.zeros_like(np.asarray(number, dtype=np.uint64))
    return philox([zero + np.uint64(purpose), number, zero, zero], [seed & 0xFFFFFFFF, seed >> 32])[:2]


def uniform(count, seed, number, bound):
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(blocks)
    words = philox([blocks, zero, zero, zero], key_of(MEMORY_WEIGHTS, seed, number))
    words = np.stack(words, axis=1).reshape(-1)[:count]
    return ((words >> np.uint64(8)).astype(np.float64) * 2.0**-23 - 1) * bound


def unit(index, key):
    zero = np.zeros_like(index)
    words = philox([index, zero, zero, zero], key)
    return (((words[1] << np.uint64(32)) | words[0]) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def vectors(numbers, width, seed):
    numbers = np.asarray(numbers, dtype=np.uint64)[:, None]
    key = key_of(MEMORY_VECTORS, seed, numbers)
    pairs = np.arange((width + 1) // 2, dtype=np.uint64)[None, :]
    even, zero = 2 * pairs + 0 * numbers, np.uint64(1)
    radius = np.sqrt(-2 * np.log(1 - unit(even, key)))
    angle = 2 * np.pi * unit(even + zero, key)
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(len(numbers), -1)
    return torch.tensor(both[:, :width].astype(np.float32))


def linear(inputs, outputs, seed, number):
    layer = torch.nn.Linear(inputs, outputs)
    with torch.no_grad():
        for offset, parameter in enumerate([layer.weight, layer.bias]):
            values = uniform(parameter.numel(), seed, number + offset, 1 / np.sqrt(inputs))
            parameter.copy_(torch.tensor(values.astype(np.float32)).reshape(parameter.shape))
    return layer


def losses(width, inner, chunks, batch, seq, rate, seed):
    levels = [
        torch.nn.Sequential(
            linear(width, inner, seed, 4 * n), torch.nn.GELU(), linear(inner, width, seed, 4 * n + 2))
        for n in range(len(chunks))
    ]
    optimizers = [
        torch.optim.Adam(level.parameters(), lr=rate / chunk, weight_decay=0) for level, chunk in zip(levels, chunks)
    ]
    mse, found = torch.nn.MSELoss(), []
    for step in range(1, STEPS + 1):
        count = batch * seq
        x = vectors(np.arange((step - 1) * count, step * count), width, seed)
        y = x
        for level in levels:
            y = level(y)
        loss = mse(y, x)
        loss.backward()
        found.append(loss.item())
        for optimizer, chunk in zip(optimizers, chunks):
            if step % chunk == 0:
                optimizer.step()
                optimizer.zero_grad()
    return found


if __name__ == "__main__":
    torch.manual_seed(0)
    cases = [case | {"name": name, "losses": losses(**case)} for name, case in CASES.items()]
    path = pathlib.Path(__file__).with_name("losses.json")
    path.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, indent=1) + "\n")
    for case in cases:
        print(case["name"], [round(loss, 5) for loss in case["losses"]])

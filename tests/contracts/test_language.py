"""Cells that say more than gates and states, as machine code beside the reference in float64: results and every gradient.

Whatever must not be read holds NaN: the memory that the passes are given, inputs and extras past a row's end.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from ostinato import Recurrent, Stream, cells, explain
from ostinato.kernels.cpu.run.buffers import pool
from tests.cells.language import COMPILED, extras
from tests.contracts.menu import NOT_FOR, OPTIONS, not_for

CELLS = COMPILED | {name: getattr(cells, name) for name in ("gru", "lstm")}
UNITS = (1, 3, 8, 11, 16, 20, 24, 32, 48)  # of a head
SIZES = ((1, 1), (5, 3), (20, 8), (40, 33))  # time steps and rows


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


def drawn(seed: int) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A cell, the arguments of its layer, and the sizes of a batch."""
    r = random.Random(seed)
    name = list(CELLS)[seed % len(CELLS)]
    heads = r.choice((1, 2, 3, 4, 6, 8)) if name != "skew" else 1
    units = r.choice(UNITS)
    layers = 1 if name == "decaying" else r.choice((1, 2))
    not_here = NOT_FOR.get(name, not_for(CELLS[name])) | {"num_heads"}  # which have numbers of their own above
    allowed = [option for option in OPTIONS if option not in not_here]
    options: dict[str, Any] = {}
    for option in r.sample(allowed, r.choice((0, 0, 1, 2))):
        options |= OPTIONS[option]
    arguments: dict[str, Any] = {
        "bidirectional": r.random() < 0.4,
        "num_heads": heads,
        "bias": r.random() < 0.8,
        **options,
    }
    if not arguments["bias"]:
        arguments.pop("forget_bias", None)
        if "chrono" in str(arguments.get("init")):
            del arguments["init"]
    steps, rows = r.choice(SIZES)
    lengths = None if r.random() < 0.4 else [r.randint(0, steps) for _ in range(rows)]
    sizes = {"input_size": r.choice((1, 5, 17, 40)), "hidden_size": heads * units, "num_layers": layers}
    return name, sizes | arguments, {"steps": steps, "rows": rows, "lengths": lengths}


def found(layer: Recurrent, x: Tensor, more: dict[str, Tensor], lengths: list[int] | None) -> dict[str, Tensor]:
    """What a layer gives, and every gradient of a random sum of it."""
    inputs = {"input": x, **more}
    leaves = {name: v.clone().requires_grad_() for name, v in inputs.items()}
    torch.manual_seed(1)
    y, states = layer(leaves["input"], lengths=lengths, **{name: leaves[name] for name in more})
    results = {"output": y} | {
        f"state {n}": v for n, v in enumerate(states if isinstance(states, tuple) else (states,))
    }
    torch.manual_seed(2)
    torch.autograd.backward([(v * torch.randn_like(v)).sum() for v in results.values()])
    learned = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    gradients = {f"d{name}": v.grad for name, v in (leaves | learned).items()}
    return results | {name: torch.zeros(()) if v is None else v for name, v in gradients.items()}


@pytest.mark.parametrize("seed", range(6 * len(CELLS)))
def test_machine_code_computes_what_the_reference_does(seed: int) -> None:
    name, arguments, batch = drawn(seed)
    torch.manual_seed(seed)
    reference = Recurrent(CELLS[name], dtype=torch.float64, backend="reference", **arguments)
    compiled = Recurrent(CELLS[name], dtype=torch.float64, **arguments)
    compiled.load_state_dict(reference.state_dict())
    x = torch.randn(batch["steps"], batch["rows"], arguments["input_size"], dtype=torch.float64)
    more = extras(compiled, batch["steps"], batch["rows"])
    for b, length in enumerate(batch["lengths"] or []):
        for v in (x, *more.values()):
            v[length:, b] = float("nan")
    want = found(reference, x, more, batch["lengths"])
    got = found(compiled, x, more, batch["lengths"])
    assert explain(compiled, x, lengths=batch["lengths"], **more).backends == {"compiled"}
    for each, v in want.items():
        scale = max(1.0, float(v.detach().abs().max())) if v.numel() else 1.0
        torch.testing.assert_close(got[each], v, rtol=0, atol=1e-12 * scale, msg=lambda m, each=each: f"{each}: {m}")


def test_what_was_drawn_leaves_nothing_out() -> None:
    every = [drawn(seed) for seed in range(6 * len(CELLS))]
    assert {name for name, _, _ in every} == set(CELLS)
    heads = [(arguments["num_heads"], arguments["hidden_size"] // arguments["num_heads"]) for _, arguments, _ in every]
    assert {n for n, _ in heads} == {1, 2, 3, 4, 6, 8}
    assert {units % 8 == 0 for n, units in heads if n > 1} == {True, False}
    assert {(b["steps"], b["rows"]) for _, _, b in every} == set(SIZES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
def test_a_stream_computes_what_the_layer_does(name: str, dtype: torch.dtype) -> None:
    for inputs, hidden, heads, layers in ((5, 6, 2, 2), (16, 64, 4, 1), (19, 72, 3, 2), (3, 40, 2, 1)):
        torch.manual_seed(0)
        count = 1 if name == "decaying" else layers
        heads = 1 if name == "skew" else heads
        layer = Recurrent(CELLS[name], inputs, hidden, count, num_heads=heads, dtype=dtype).eval()
        x, more = torch.randn(9, 1, inputs, dtype=dtype), extras(layer, 9, 1, dtype)
        with torch.no_grad():
            want, states = layer(x, **more)
        stream = Stream(layer)
        got = torch.stack([stream(x[t, 0], **{n: v[t, 0] for n, v in more.items()}) for t in range(9)])
        torch.testing.assert_close(got, want[:, 0], atol=1e-6, rtol=1e-6)
        # A memory that is added up for good is as exact as its largest numbers on the way.
        whole = states if isinstance(states, tuple) else (states,)
        kept = stream.state if isinstance(stream.state, tuple) else (stream.state,)
        for v, each in zip(kept, whole, strict=True):
            torch.testing.assert_close(v[:, None], each, rtol=0, atol=1e-6 * max(1.0, float(each.abs().max())))

"""Outputs, last states and all gradients against torch.nn in float64, over a grid of configurations and four ways to run each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import ostinato
from ostinato import cells
from tests.support import LAYERS, assert_same, first_states, pair, results_and_gradients

CELLS = {
    "rnn_tanh": cells.rnn_tanh,
    "rnn_relu": cells.rnn_relu,
    "lstm": cells.lstm,
    "lstm_proj": cells.lstm,
    "gru": cells.gru,
}
FORMS = ("unbatched", "batched", "packed_sorted", "packed_unsorted")
SIZES = (
    (1, 3, 1, 1),
    (3, 5, 4, 7),
    (7, 4, 2, 5),
    (2, 7, 5, 3),
    (5, 3, 3, 6),
)  # I, H, B, T: odd ones, none a power of two


@dataclass(frozen=True)
class Configuration:
    kind: str
    num_layers: int
    bidirectional: bool
    batch_first: bool
    bias: bool
    form: str
    with_hx: bool
    sizes: tuple[int, int, int, int]

    def __str__(self) -> str:
        flags = [name for name in ("bidirectional", "batch_first", "bias", "with_hx") if getattr(self, name)]
        return "-".join([self.kind, f"{self.num_layers}layers", *flags, self.form, "x".join(map(str, self.sizes))])


GRID = [
    Configuration(*choice, SIZES[at % len(SIZES)])
    for at, choice in enumerate(
        itertools.product(LAYERS, (1, 2, 3), (False, True), (False, True), (True, False), FORMS, (False, True))
    )
]


def test_the_grid_is_as_large_as_promised() -> None:
    assert len(set(map(str, GRID))) == len(GRID) >= 500


def make_input(configuration: Configuration) -> tuple[Any, torch.Tensor]:
    """The input, and the leaf that its gradient is taken for."""
    size_in, _, rows, steps = configuration.sizes
    if configuration.form == "unbatched":
        x = torch.randn(steps, size_in, dtype=torch.float64, requires_grad=True)
        return x, x
    if configuration.form == "batched":
        shape = (rows, steps) if configuration.batch_first else (steps, rows)
        x = torch.randn(*shape, size_in, dtype=torch.float64, requires_grad=True)
        return x, x
    is_sorted = configuration.form == "packed_sorted"
    lengths = torch.randint(1, steps + 1, (rows,))
    packed = pack_padded_sequence(
        torch.randn(steps, rows, size_in, dtype=torch.float64),
        lengths.sort(descending=True).values if is_sorted else lengths,
        enforce_sorted=is_sorted,
    )
    leaf = packed.data.detach().requires_grad_()
    return PackedSequence(leaf, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices), leaf


@pytest.mark.cross
@pytest.mark.parametrize("configuration", GRID, ids=str)
def test_torch_parity(configuration: Configuration) -> None:
    size_in, hidden, rows, _ = configuration.sizes
    common = {
        "num_layers": configuration.num_layers,
        "bias": configuration.bias,
        "batch_first": configuration.batch_first,
        "bidirectional": configuration.bidirectional,
    }
    torch.manual_seed(GRID.index(configuration))
    theirs, ours = pair(configuration.kind, size_in, hidden, **common)
    # torch has no layer for any cell, so this one goes to torch's kernels layer by layer, direction by direction.
    by_layer = ostinato.Recurrent(
        CELLS[configuration.kind], size_in, hidden, proj_size=theirs.proj_size, dtype=torch.float64, **common
    )
    by_layer.load_state_dict(theirs.state_dict(), strict=True)
    input, leaf = make_input(configuration)
    hx = (
        first_states(theirs, None if configuration.form == "unbatched" else rows, True)
        if configuration.with_hx
        else None
    )
    states = {} if hx is None else {f"hx{n}": v for n, v in enumerate(hx if isinstance(hx, tuple) else (hx,))}

    def found(layer: torch.nn.Module) -> dict[str, torch.Tensor]:
        parameters = dict(layer.named_parameters())
        return results_and_gradients(lambda: layer(input, hx), {"input": leaf, **states, **parameters})

    expected = found(theirs)
    assert_same(found(ours), expected)
    with ostinato.backend("vendor"):
        assert_same(found(ours), expected, atol=0.0)
        assert_same(found(by_layer), expected)
    with ostinato.backend("reference"):
        assert_same(found(ours), expected)


def test_the_grid_reaches_each_way_to_run() -> None:
    x = torch.randn(3, 2, 4)
    by_layer = ostinato.Recurrent(cells.lstm, 4, 5, 2, bidirectional=True)
    drop_in = ostinato.LSTM(4, 5, 2, bidirectional=True)
    assert [c.backend for c in ostinato.explain(drop_in, x).choices["LSTM"]] == ["compiled"] * 4
    with ostinato.backend("vendor"):
        assert [c.backend for c in ostinato.explain(by_layer, x).choices["Recurrent"]] == ["vendor"] * 4
        assert [c.backend for c in ostinato.explain(drop_in, x).choices["LSTM"]] == ["vendor"]
    with ostinato.backend("reference"):
        assert ostinato.explain(drop_in, x).backends == {"reference"}

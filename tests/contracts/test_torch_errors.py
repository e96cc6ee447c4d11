"""Wrong input gets the exception and the message of torch.nn: for every check that torch/nn/modules/rnn.py makes, on every path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from tests.support import outcome

pytestmark = pytest.mark.filterwarnings("ignore:dropout option adds dropout:UserWarning")

CONSTRUCTOR_KEYWORDS: list[dict[str, Any]] = [
    *({"dropout": v} for v in (-0.1, 1.5, True, "0.5", None)),
    *({"num_layers": v} for v in (0, -1, 2.0, "2")),
    *({"bias": v} for v in (0, 1, "True", None)),
    *({"batch_first": v} for v in (0, "False", None)),
    *({"proj_size": v} for v in (-1, 6, 7, 3, "3")),
    *({"nonlinearity": v} for v in ("foo", None)),
    *({"dtype": v} for v in ("float", torch.int64)),
    {"device": "foo"},
]
CONSTRUCTOR_SIZES: list[tuple[Any, ...]] = [
    *((v, 6) for v in (0, -1, 4.0, "4", None)),
    *((4, v) for v in (0, -2, 6.0, "6", None, {}, {6})),
]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("arguments", [*CONSTRUCTOR_KEYWORDS, *CONSTRUCTOR_SIZES], ids=str)
def test_layers_are_built_from_the_same_arguments(name: str, arguments: dict[str, Any] | tuple[Any, ...]) -> None:
    def build(library: Any) -> None:
        keywords = arguments if isinstance(arguments, dict) else {}
        getattr(library, name)(*((4, 6) if keywords else arguments), **keywords)

    expected = outcome(lambda: build(torch.nn))
    if expected and "unexpected keyword argument" in expected[1]:
        # Ours knows the words that there are, and says them.
        got = outcome(lambda: build(ostinato))
        assert got is not None
        assert got[0] == expected[0]
        assert got[1].startswith(f"unexpected keyword argument {expected[1].split()[-1]}")
    else:
        assert outcome(lambda: build(ostinato)) == expected


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)


# Input, first states (for each state of the layer, None for none).
CALLS: dict[str, tuple[torch.Tensor, tuple[int, ...] | None]] = {
    "no dimensions": (zeros(), None),
    "one dimension": (zeros(4), None),
    "four dimensions": (zeros(1, 2, 3, 4), None),
    "input size": (zeros(5, 3, 3), None),
    "input size, unbatched": (zeros(5, 3), None),
    "no steps": (zeros(0, 3, 4), None),
    "no steps, unbatched": (zeros(0, 4), None),
    "no steps and no rows": (zeros(0, 0, 4), None),
    "dtype": (zeros(5, 3, 4).double(), None),
    "integers": (zeros(5, 3, 4).long(), None),
    "hx with two dimensions": (zeros(5, 3, 4), (3, 6)),
    "hx with four dimensions": (zeros(5, 3, 4), (1, 1, 3, 6)),
    "hx rows": (zeros(5, 3, 4), (1, 2, 6)),
    "hx layers": (zeros(5, 3, 4), (2, 3, 6)),
    "hx size": (zeros(5, 3, 4), (1, 3, 7)),
    "hx batched, input not": (zeros(5, 4), (1, 1, 6)),
    "hx size, unbatched": (zeros(5, 4), (1, 7)),
    "hx layers, unbatched": (zeros(5, 4), (2, 6)),
}


@pytest.mark.parametrize("path", ["auto", "vendor", "reference", "lengths"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("call", CALLS)
def test_layers_take_the_same_input(call: str, name: str, path: str) -> None:
    input, shape = CALLS[call]
    hx = () if shape is None else ((zeros(*shape), zeros(*shape)),) if name == "LSTM" else (zeros(*shape),)
    theirs, ours = getattr(torch.nn, name)(4, 6), getattr(ostinato, name)(4, 6)
    expected = outcome(lambda: theirs(input, *hx))
    assert expected is not None
    options: dict[str, Any] = {}
    if path == "lengths":
        rows = input.shape[1] if input.dim() == 3 else 1
        options = {"lengths": torch.ones(rows, dtype=torch.int64)}
    with ostinato.backend("auto" if path == "lengths" else path):
        assert outcome(lambda: ours(input, *hx, **options)) == expected


@pytest.mark.parametrize("backend", ["auto", "vendor", "reference"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_batch_first_counts_the_other_way(name: str, backend: str) -> None:
    theirs, ours = getattr(torch.nn, name)(4, 6, batch_first=True), getattr(ostinato, name)(4, 6, batch_first=True)
    for x, shape in ((zeros(3, 5, 4), (3, 1, 6)), (zeros(3, 5, 4), (1, 5, 6)), (zeros(3, 0, 4), (1, 3, 6))):
        hx = (zeros(*shape), zeros(*shape)) if name == "LSTM" else zeros(*shape)
        expected = outcome(lambda x=x, hx=hx: theirs(x, hx))
        assert expected is not None
        with ostinato.backend(backend):
            assert outcome(lambda x=x, hx=hx: ours(x, hx)) == expected


@pytest.mark.parametrize("backend", ["auto", "vendor", "reference"])
@pytest.mark.parametrize("name", ["RNN", "GRU"])
@pytest.mark.parametrize(
    ("size", "dtype", "hx"),
    [
        (3, torch.float32, None),
        (4, torch.float64, None),
        (4, torch.float32, (1, 2, 6)),
        (4, torch.float32, (1, 3, 7)),
        (4, torch.float32, (3, 6)),
    ],
    ids=str,
)
def test_packed_sequences_are_checked_as_torch_checks_them(
    size: int, dtype: torch.dtype, hx: tuple[int, ...] | None, name: str, backend: str
) -> None:
    # torch.nn's LSTM checks nothing here: its kernels fail on their own, or do not.
    packed = pack_padded_sequence(torch.zeros(5, 3, size, dtype=dtype), torch.tensor([5, 3, 2]))
    given = () if hx is None else (zeros(*hx),)
    theirs, ours = getattr(torch.nn, name)(4, 6), getattr(ostinato, name)(4, 6)
    expected = outcome(lambda: theirs(packed, *given))
    assert expected is not None
    with ostinato.backend(backend):
        assert outcome(lambda: ours(packed, *given)) == expected


STEP_CALLS: dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]] = {
    "no dimensions": ((), None),
    "three dimensions": ((2, 3, 4), None),
    "input size": ((3, 5), None),
    "input size, unbatched": ((5,), (6,)),
    "hx with four dimensions": ((3, 4), (3, 1, 1, 6)),
    "hx without dimensions": ((3, 4), ()),
    "hx size": ((3, 4), (3, 7)),
    "hx rows": ((3, 4), (2, 6)),
    "hx size, unbatched": ((4,), (7,)),
    "hx batched, input not": ((4,), (1, 6)),
    "hx of three rows, input not": ((4,), (3, 6)),
    "hx unbatched, input not": ((3, 4), (6,)),
}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("call", STEP_CALLS)
def test_steps_take_the_same_input(call: str, name: str, backend: str) -> None:
    shape, hx_shape = STEP_CALLS[call]
    theirs, ours = getattr(torch.nn, name)(4, 6), getattr(ostinato, name)(4, 6)
    good = zeros(*shape[:-1], 6)
    choices: list[Any] = [()]
    if hx_shape is not None:
        bad = zeros(*hx_shape)
        choices = [((bad, bad),), ((good, bad),)] if name == "LSTMCell" else [(bad,)]
    for hx in choices:
        expected = outcome(lambda hx=hx: theirs(zeros(*shape), *hx))
        assert expected is not None
        with ostinato.backend(backend):
            assert outcome(lambda hx=hx: ours(zeros(*shape), *hx)) == expected


BAD_STEPS: dict[str, Callable[[Any], Any]] = {
    "negative width": lambda library: library.LSTMCell(4, -6),
    "width of no number": lambda library: library.GRUCell(4, "6"),
    "missing width": lambda library: library.GRUCell(4),
    "unknown device": lambda library: library.RNNCell(4, 6, device="foo"),
    "unknown dtype": lambda library: library.RNNCell(4, 6, dtype="float"),
    "unknown nonlinearity": lambda library: library.RNNCell(4, 6, nonlinearity="foo")(zeros(3, 4)),
    "dtype of the input": lambda library: library.GRUCell(4, 6)(zeros(3, 4).double()),
}


@pytest.mark.parametrize("what", BAD_STEPS)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_steps_are_built_from_the_same_arguments(what: str, backend: str) -> None:
    expected = outcome(lambda: BAD_STEPS[what](torch.nn))
    assert expected is not None
    with ostinato.backend(backend):
        assert outcome(lambda: BAD_STEPS[what](ostinato)) == expected

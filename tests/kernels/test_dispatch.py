from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from ostinato import GRU, LSTM, RNN, Recurrent, backend, cells, explain
from ostinato.errors import ConfigError
from ostinato.kernels import dispatch
from tests.kernels.requests import assert_same, request

X = torch.randn(4, 2, 3)
ALL_STATES = {"return_states": True}
ONLY_OUTPUT = "torch's kernels give only the output at every step, and all states were asked for"
BY_LOOP = "the step of {!r} in a loop over time, in plain PyTorch"


@pytest.mark.parametrize(
    ("layer", "call", "text"),
    [
        (LSTM(3, 4), {}, "LSTM: vendor (torch's LSTM kernel, exactly as torch.nn calls it)"),
        (
            LSTM(3, 4),
            {"lengths": [4, 2]},
            "LSTM: vendor (torch's LSTM kernel (oneDNN))",
        ),
        (
            LSTM(3, 4),
            ALL_STATES,
            f"LSTM: reference ({BY_LOOP.format('lstm')}; not vendor: {ONLY_OUTPUT})",
        ),
        (
            GRU(3, 4, zoneout=0.1, layer_norm=True),
            {},
            f"GRU: reference ({BY_LOOP.format('gru')}; not vendor: torch's kernels do not know layer_norm, zoneout)",
        ),
        (
            RNN(3, 4, nonlinearity="sigmoid"),
            {},
            f"RNN: reference ({BY_LOOP.format('rnn_sigmoid')}; not vendor: torch has no kernel for the cell 'rnn_sigmoid')",
        ),
        (
            GRU(3, 4, backend="reference"),
            {},
            f"GRU: reference ({BY_LOOP.format('gru')}; asked for by name)",
        ),
        (
            Recurrent(cells.gru, 3, 4, backend="vendor"),
            {"lengths": [4, 2]},
            "Recurrent: vendor (torch's GRU kernel (ATen); asked for by name)",
        ),
        (
            LSTM(3, 4, recurrent_dropout=0.5).eval(),
            {},
            "LSTM: vendor (torch's LSTM kernel, exactly as torch.nn calls it)",
        ),
    ],
)
def test_explain_says_which_and_why(layer: Recurrent, call: dict[str, Any], text: str) -> None:
    assert str(explain(layer, X, **call)) == text


def test_a_backend_asked_for_by_the_layer_runs() -> None:
    assert explain(LSTM(3, 4, backend="reference"), X).backends == {"reference"}
    assert explain(LSTM(3, 4, backend="vendor"), X).backends == {"vendor"}


def test_the_innermost_block_has_the_last_word_and_auto_leaves_it_to_the_layer() -> None:
    plain, named = LSTM(3, 4), LSTM(3, 4, backend="reference")
    with backend("reference"):
        assert explain(plain, X).backends == {"reference"}
        with backend("vendor"):
            assert explain(plain, X).backends == {"vendor"}
            assert explain(named, X).backends == {"vendor"}
            with backend("auto"):
                assert explain(plain, X).backends == {"vendor"}
                assert explain(named, X).backends == {"reference"}
        assert explain(plain, X).backends == {"reference"}
    assert explain(plain, X).backends == {"vendor"}


def test_a_block_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), backend("reference"):
        raise KeyError
    assert dispatch.wanted("auto") == "auto"


def test_both_backends_give_the_same() -> None:
    layer = LSTM(3, 4, 2, bidirectional=True).double()
    results = []
    for name in ("reference", "vendor"):
        with backend(name):
            results.append(layer(X.double(), lengths=[4, 1])[0])
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by_block", [False, True])
def test_a_backend_asked_for_by_name_that_cannot_run_says_why(by_block: bool) -> None:
    said = "backend 'vendor' was asked for by name, but torch's kernels do not know peephole. Use backend='auto'"
    layer = LSTM(3, 4, peephole=True, backend="auto" if by_block else "vendor")
    with pytest.raises(ConfigError, match=re.escape(said)), backend("vendor" if by_block else "auto"):
        layer(X)


@pytest.mark.parametrize("name", ["", "cudnn", "Vendor"])
def test_a_backend_that_there_is_not(name: str) -> None:
    said = f"backend expected one of auto, vendor, reference, got {name!r}"
    with pytest.raises(ConfigError, match=re.escape(said)), backend(name):
        pass
    with pytest.raises(ConfigError, match=re.escape(said)):
        LSTM(3, 4, backend=name)  # pyright: ignore[reportArgumentType]


def test_what_is_chosen_is_what_runs() -> None:
    r = request(cells.gru, lengths=[5, 0, 2, 5])
    with dispatch.recording() as choices:
        result = dispatch.run(r)
    assert choices == [dispatch.choose(r)]
    assert choices[0].backend == "vendor"
    assert_same(result, dispatch.BACKENDS["vendor"].run(r), tolerance=0)
    with dispatch.recording() as choices:
        result = dispatch.run(r, "reference")
    assert choices == [dispatch.choose(r, "reference")]
    assert_same(result, dispatch.BACKENDS["reference"].run(r), tolerance=0)


def test_nothing_is_recorded_outside_of_a_recording() -> None:
    with dispatch.recording() as outer:
        dispatch.run(request(cells.gru))
        with dispatch.recording() as inner:
            dispatch.run(request(cells.lstm))
        dispatch.run(request(cells.rnn_sigmoid))
    dispatch.run(request(cells.gru))
    assert [c.backend for c in outer] == ["vendor", "reference"]
    assert len(inner) == 1


@pytest.mark.parametrize(
    ("cell", "by_layer", "whole"),
    [
        (cells.lstm, "auto", True),
        (cells.lstm, "vendor", True),
        (cells.lstm, "reference", False),
        (cells.rnn_sigmoid, "auto", False),
    ],
)
def test_a_whole_stack_goes_to_torch_unless_another_backend_is_wanted(
    cell: cells.Cell, by_layer: str, whole: bool
) -> None:
    assert dispatch.takes_whole(cell, by_layer) is whole
    with backend("reference"):
        assert not dispatch.takes_whole(cell, by_layer)

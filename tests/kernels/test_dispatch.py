from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from ostinato import GRU, LSTM, RNN, Recurrent, State, backend, cell, cells, explain
from ostinato.errors import ConfigError
from ostinato.kernels import dispatch
from ostinato.kernels.cpu.code import tiles
from ostinato.kernels.reference import Reference
from tests.kernels.requests import assert_same, request

X = torch.randn(4, 2, 3)
HERE = [each.name for each in dispatch.backends_for("cpu")]
ALL_STATES = {"return_states": True}
ONLY_OUTPUT = "torch's kernels give only the output at every step, and all states were asked for"
COMPILED = "the step of {!r} compiled for this CPU, N numbers at a time"
BY_LOOP = "the step of {!r} in a loop over time, in plain PyTorch"
CUMSUM = "the step uses aten.cumsum, which the compiler does not know"
NO_KERNEL = "torch has no kernel for the cell 'summed'"
SMALLER = "torch's kernel multiplies in the smaller dtype, which was measured to be faster"


@cell(gates="a", states="h")
def summed(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.cumsum(torch.tanh(x.a + U(s.h).a), 1))


def said(layer: torch.nn.Module, *args: Any, **kwargs: Any) -> str:
    """What `explain` says, with N for the width of this machine's vectors."""
    return without_line(re.sub(r"\d+ numbers", "N numbers", str(explain(layer, *args, **kwargs))))


def without_line(text: str) -> str:
    """Without the line of an operation: that of the first step that computes the same."""
    return re.sub(r" \(test_\w+\.py:\d+\)", "", text)


@pytest.mark.parametrize(
    ("layer", "call", "text"),
    [
        (LSTM(3, 4), {}, f"LSTM: compiled ({COMPILED.format('lstm')})"),
        (LSTM(3, 4), {"lengths": [4, 2]}, f"LSTM: compiled ({COMPILED.format('lstm')})"),
        (LSTM(3, 4, backend="compiled"), ALL_STATES, f"LSTM: compiled ({COMPILED.format('lstm')}; asked for by name)"),
        (GRU(3, 4, zoneout=0.1, layer_norm=True), {}, f"GRU: compiled ({COMPILED.format('gru')})"),
        (RNN(3, 4, nonlinearity="sigmoid"), {}, f"RNN: compiled ({COMPILED.format('rnn_sigmoid')})"),
        (
            LSTM(3, 4, backend="vendor"),
            {},
            "LSTM: vendor (torch's LSTM kernel, exactly as torch.nn calls it; asked for by name)",
        ),
        (
            LSTM(3, 4, backend="vendor"),
            {"lengths": [4, 2]},
            "LSTM: vendor (torch's LSTM kernel (oneDNN); asked for by name)",
        ),
        (
            Recurrent(summed, 3, 4),
            {},
            f"Recurrent: reference ({BY_LOOP.format('summed')}; not compiled: {CUMSUM}; not vendor: {NO_KERNEL})",
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
            LSTM(3, 4, recurrent_dropout=0.5, backend="vendor").eval(),
            {},
            "LSTM: vendor (torch's LSTM kernel, exactly as torch.nn calls it; asked for by name)",
        ),
    ],
)
def test_explain_says_which_and_why(layer: Recurrent, call: dict[str, Any], text: str) -> None:
    assert said(layer, X, **call) == text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("options", "call", "text"),
    [
        ({}, {}, "LSTM: vendor (torch's LSTM kernel, exactly as torch.nn calls it)"),
        ({}, {"lengths": [4, 2]}, f"LSTM: vendor (torch's LSTM kernel (oneDNN); not compiled: {SMALLER})"),
        ({}, ALL_STATES, f"LSTM: compiled ({COMPILED.format('lstm')})"),
        ({"layer_norm": True}, {}, f"LSTM: compiled ({COMPILED.format('lstm')})"),
    ],
    ids=["plain", "lengths", "all states", "layer_norm"],
)
def test_in_half_the_bits_a_plain_cell_is_torchs(
    dtype: torch.dtype, options: dict[str, Any], call: dict[str, Any], text: str
) -> None:
    assert said(LSTM(3, 4, **options).to(dtype), X.to(dtype), **call) == text


def test_under_autocast_a_plain_cell_of_onednn_is_torchs_where_there_are_no_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "has_tiles", lambda: False)
    with torch.autocast("cpu", torch.bfloat16):
        assert explain(LSTM(3, 4), X).backends == {"vendor"}
        assert said(LSTM(3, 4), X, lengths=[4, 2]).endswith(f"; not compiled: {SMALLER})")
        assert explain(GRU(3, 4), X).backends == {"compiled"}, "ATen gains nothing from the smaller dtype"
        assert explain(LSTM(3, 4, zoneout=0.1), X).backends == {"compiled"}
        monkeypatch.setattr(tiles, "has_tiles", lambda: True)
        assert explain(LSTM(3, 4), X).backends == {"compiled"}


def test_without_what_compiles_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch.Compiled, "refusal", lambda _self, _request: "there is no compiler")
    assert said(LSTM(3, 4), X) == "LSTM: vendor (torch's LSTM kernel (oneDNN); not compiled: there is no compiler)"
    assert explain(LSTM(3, 4, peephole=True), X).backends == {"reference"}


def test_a_backend_asked_for_by_the_layer_runs() -> None:
    for name in HERE:
        assert explain(LSTM(3, 4, backend=name), X).backends == {name}  # pyright: ignore[reportArgumentType]


def test_a_backend_for_another_device_is_refused_by_name_and_not_spoken_of_otherwise() -> None:
    with pytest.raises(
        ConfigError, match="'triton' was asked for by name, but it compiles for CUDA devices, and the input"
    ):
        LSTM(3, 4, backend="triton")(X)
    with backend("auto"):
        assert "triton" not in said(Recurrent(summed, 3, 4), X)


def test_the_innermost_block_has_the_last_word_and_auto_leaves_it_to_the_layer() -> None:
    plain, named = LSTM(3, 4), LSTM(3, 4, backend="reference")
    with backend("reference"):
        assert explain(plain, X).backends == {"reference"}
        with backend("vendor"):
            assert explain(plain, X).backends == {"vendor"}
            assert explain(named, X).backends == {"vendor"}
            with backend("auto"):
                assert explain(plain, X).backends == {"compiled"}
                assert explain(named, X).backends == {"reference"}
        assert explain(plain, X).backends == {"reference"}
    assert explain(plain, X).backends == {"compiled"}


def test_a_block_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), backend("reference"):
        raise KeyError
    assert dispatch.wanted("auto") == "auto"


def test_all_backends_give_the_same() -> None:
    layer = LSTM(3, 4, 2, bidirectional=True).double()
    with backend("reference"):
        expected = layer(X.double(), lengths=[4, 1])[0]
    for name in HERE:
        with backend(name):
            got = layer(X.double(), lengths=[4, 1])[0]
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by_block", [False, True])
def test_a_backend_asked_for_by_name_that_cannot_run_says_why(by_block: bool) -> None:
    reasons = {
        "vendor": (LSTM(3, 4, peephole=True), "torch's kernels do not know peephole"),
        "compiled": (Recurrent(summed, 3, 4), CUMSUM),
    }
    for name, (layer, reason) in reasons.items():
        if not by_block:
            layer.backend = name
        message = f"backend {name!r} was asked for by name, but {reason}. Use backend='auto'"
        with pytest.raises(ConfigError) as caught, backend(name if by_block else "auto"):
            layer(X)
        assert without_line(str(caught.value)) == message


@pytest.mark.parametrize("name", ["", "cudnn", "Vendor"])
def test_a_backend_that_there_is_not(name: str) -> None:
    message = f"backend expected one of auto, compiled, triton, vendor, reference, got {name!r}"
    with pytest.raises(ConfigError, match=re.escape(message)), backend(name):
        pass
    with pytest.raises(ConfigError, match=re.escape(message)):
        LSTM(3, 4, backend=name)  # pyright: ignore[reportArgumentType]


def test_what_is_chosen_is_what_runs() -> None:
    r = request(cells.gru, lengths=[5, 0, 2, 5])
    for wanted, name in {"auto": "compiled", **{name: name for name in HERE}}.items():
        with dispatch.recording() as choices:
            result = dispatch.run(r, wanted)
        assert choices == [dispatch.choose(r, wanted)]
        assert choices[0].backend == name
        assert_same(result, dispatch.BACKENDS[name].run(r), tolerance=0)


def test_nothing_is_recorded_outside_of_a_recording() -> None:
    with dispatch.recording() as outer:
        dispatch.run(request(cells.gru))
        with dispatch.recording() as inner:
            dispatch.run(request(cells.lstm))
        dispatch.run(request(cells.rnn_sigmoid), "reference")
    dispatch.run(request(cells.gru))
    assert [c.backend for c in outer] == ["compiled", "reference"]
    assert len(inner) == 1


@pytest.mark.parametrize(
    ("cell", "by_layer", "input", "whole"),
    [
        (cells.lstm, "vendor", X, True),
        (cells.lstm, "vendor", None, True),
        (cells.lstm, "compiled", None, False),
        (cells.lstm, "reference", None, False),
        (cells.lstm, "auto", None, True),
        (cells.lstm, "auto", X, False),
        (cells.lstm, "auto", X.double(), False),
        (cells.lstm, "auto", X.bfloat16(), True),
        (cells.gru, "auto", X.bfloat16(), False),
        (cells.lstm, "auto", X.to("meta"), True),
        (cells.lstm, "auto", pack_padded_sequence(X, torch.tensor([4, 1])), False),
        (cells.lstm, "auto", pack_padded_sequence(X.half(), torch.tensor([4, 1])), True),
        (cells.rnn_sigmoid, "auto", None, False),
        (cells.rnn_sigmoid, "vendor", X.half(), False),
    ],
)
def test_a_whole_stack_goes_to_torch_where_that_is_faster_or_wanted(
    cell: cells.Cell, by_layer: str, input: Any, whole: bool
) -> None:
    assert dispatch.takes_whole(cell, by_layer, input) is whole
    with backend("reference"):
        assert not dispatch.takes_whole(cell, by_layer, input)
    with backend("vendor"):
        assert dispatch.takes_whole(cell, by_layer, input) is (cell in (cells.lstm, cells.gru))


class Loud(Reference):
    """The reference by another name."""

    name = "loud"


def test_a_backend_that_is_registered_is_asked_by_its_name_and_by_its_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BACKENDS", dict(dispatch.BACKENDS))
    monkeypatch.setattr(dispatch, "_priorities", dict(dispatch._priorities))
    with pytest.raises(
        ConfigError, match="backend expected one of auto, compiled, triton, vendor, reference, got 'loud'"
    ):
        dispatch.check_name("loud")
    dispatch.register(Loud(), 50)
    assert list(dispatch.BACKENDS) == ["compiled", "triton", "vendor", "loud", "reference"]
    assert explain(LSTM(3, 4), X).backends == {"compiled"}
    with backend("loud"):
        assert explain(LSTM(3, 4), X).backends == {"loud"}
    dispatch.register(Loud(), 300)
    assert next(iter(dispatch.BACKENDS)) == "loud"
    layer = LSTM(3, 4)
    assert explain(layer, X).backends == {"loud"}
    found = layer(X)[0]
    with backend("reference"):
        assert torch.equal(found, layer(X)[0])

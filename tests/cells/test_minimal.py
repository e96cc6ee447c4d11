from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import MinGRU, MinLSTM, Recurrent
from ostinato.cells import Gates, State, min_gru, min_lstm
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, normalised, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")
BOTH: Any = pytest.mark.parametrize("make", [MinGRU, MinLSTM])


def g(v: Array) -> Array:
    return np.where(v >= 0, v + 0.5, sigmoid(v))


@pytest.mark.parametrize("positive", [False, True])
def test_min_gru_is_the_paper_s(positive: bool) -> None:
    trial = Trial.of(MinGRU(3, 4, positive=positive))
    w = Weights(trial.layer, "z h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        z = sigmoid(w.x("z") @ x + w.rows("bias_ih", "z"))
        written = w.x("h") @ x + w.rows("bias_ih", "h")
        return ((1 - z) * h + z * (g(written) if positive else written),)

    trial.follows(step)


@pytest.mark.parametrize("positive", [False, True])
def test_min_lstm_is_the_paper_s(positive: bool) -> None:
    trial = Trial.of(MinLSTM(3, 4, positive=positive))
    w = Weights(trial.layer, "f i h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        f = sigmoid(w.x("f") @ x + w.rows("bias_ih", "f"))
        i = sigmoid(w.x("i") @ x + w.rows("bias_ih", "i"))
        written = w.x("h") @ x + w.rows("bias_ih", "h")
        return (f / (f + i) * h + i / (f + i) * (g(written) if positive else written),)

    trial.follows(step)


def test_layer_norm_has_one_product_to_act_on() -> None:
    trial = Trial.of(MinGRU(3, 4, layer_norm=True))
    w = Weights(trial.layer, "z h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        a = normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]
        z = sigmoid(a[:4])
        return ((1 - z) * h + z * a[4:],)

    trial.follows(step)
    assert "norm_hh_l0" not in trial.layer.state_dict()


def test_coupled_gates_make_min_gru_of_min_lstm() -> None:
    lstm, gru = MinLSTM(3, 4, coupled_gates=True).double(), MinGRU(3, 4).double()
    state = lstm.state_dict()
    # f = 1 - z, and sigmoid(-a) = 1 - sigmoid(a).
    gru.load_state_dict(
        {name: v * torch.tensor([-1.0] * 4 + [1.0] * 4).view(8, *[1] * (v.dim() - 1)) for name, v in state.items()}
    )
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(lstm(x)[0], gru(x)[0], rtol=1e-13, atol=1e-13)


# -- a scan -------------------------------------------------------------------------------------------------------------------


def scanned(layer: Any, x: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """All states at once, `x` `(T, B, I)`: h_t = a_t h_{t-1} + b_t is A_t (h_0 + sum of b_k / A_k), A_t = a_1 ... a_t."""
    rows = torch.nn.functional.linear(x, layer.weight_ih_l0, layer.bias_ih_l0)
    if isinstance(layer, MinGRU):
        z, written = rows.chunk(2, -1)
        keep, write = 1 - z.sigmoid(), z.sigmoid()
    else:
        f, i, written = rows.chunk(3, -1)
        total = f.sigmoid() + i.sigmoid()
        keep, write = f.sigmoid() / total, i.sigmoid() / total
    product = keep.cumprod(0)
    return product * (first + (write * written / product).cumsum(0))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.sampled_from([MinGRU, MinLSTM]), st.integers(1, 30), st.integers(1, 3), st.integers(1, 7), st.integers(0, 9))
def test_the_loop_is_the_closed_form(make: Any, steps: int, rows: int, hidden: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = make(3, hidden, bidirectional=True, dtype=torch.float64)
    x, first = torch.randn(steps, rows, 3, dtype=torch.float64), torch.randn(2, rows, hidden, dtype=torch.float64)
    lengths = torch.randint(0, steps + 1, (rows,))
    output, last = layer(x, first, lengths=lengths)
    forward = scanned(layer, x, first[0])
    for b, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(output[:length, b, :hidden], forward[:length, b], rtol=1e-9, atol=1e-9)
        assert not output[length:, b].any()
        torch.testing.assert_close(last[0, b], forward[length - 1, b] if length else first[0, b], rtol=1e-9, atol=1e-9)
    backwards = make(3, hidden, dtype=torch.float64)
    backwards.load_state_dict({n.removesuffix("_reverse"): v for n, v in layer.state_dict().items() if "reverse" in n})
    for b, length in enumerate(lengths.tolist()):
        if length:
            alone = scanned(backwards, x[:length, b : b + 1].flip(0), first[1, b]).flip(0)
            torch.testing.assert_close(output[:length, b, hidden:], alone[:, 0], rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(last[1, b], alone[0, 0], rtol=1e-9, atol=1e-9)


def test_the_positive_form_is_the_authors_scan_over_logarithms() -> None:
    torch.manual_seed(3)
    layer: Any = MinGRU(3, 4, positive=True, dtype=torch.float64)
    x, first = torch.randn(400, 2, 3, dtype=torch.float64), torch.rand(1, 2, 4, dtype=torch.float64) + 0.1
    z, written = torch.nn.functional.linear(x, layer.weight_ih_l0, layer.bias_ih_l0).chunk(2, -1)
    log_g = torch.where(written >= 0, (written.relu() + 0.5).log(), torch.nn.functional.logsigmoid(written))
    log_keep = torch.nn.functional.logsigmoid(-z).cumsum(0)
    log_written = torch.nn.functional.logsigmoid(z) + log_g - log_keep
    log_h = log_keep + torch.cat([first.log(), log_written]).logcumsumexp(0)[1:]
    output, _ = layer(x, first)
    torch.testing.assert_close(output, log_h.exp(), rtol=1e-11, atol=1e-12)
    assert (output > 0).all()


@BOTH
def test_a_gradient_goes_the_whole_way_through_open_memory(make: Any) -> None:
    layer = make(2, 3, forget_bias=12.0, dtype=torch.float64)
    first = torch.ones(1, 1, 3, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
    layer(torch.randn(500, 1, 2, dtype=torch.float64), first)[1].sum().backward()
    assert first.grad is not None
    f = torch.tensor(12.0, dtype=torch.float64).sigmoid()
    # In minLSTM i goes on writing, however open f is.
    keep = f if make is MinGRU else f / (f + layer.bias_ih_l0[3:6].sigmoid())
    torch.testing.assert_close(first.grad[0, 0], (keep**500).expand(3))


# -- far from zero ------------------------------------------------------------------------------------------------------------


def kept(f: float, i: float, dtype: torch.dtype) -> torch.Tensor:
    """f' of minLSTM, with what enters its two gates, and its gradients."""
    a = torch.tensor([f, i], dtype=dtype, requires_grad=True)
    x = Gates(f=a[:1, None], i=a[1:, None], h=torch.zeros(1, 1, dtype=dtype))
    h = min_lstm.step(x, State(h=torch.ones(1, 1, dtype=dtype)), None).h
    h.sum().backward()
    assert a.grad is not None
    return torch.cat([h.detach()[0], a.grad])


@pytest.mark.parametrize(("f", "i"), [(-25.0, 3.0), (-39.0, -41.0), (25.0, 41.0), (0.0, 0.0), (-41.0, 39.0)])
def test_normalised_gates_are_exact_in_float64(f: float, i: float) -> None:
    one, other = np.longdouble(f), np.longdouble(i)
    keep = (1 + np.exp(-other)) / (2 + np.exp(-one) + np.exp(-other))
    slopes = keep * (1 - keep) * np.array([sigmoid(-one), -sigmoid(-other)])
    expected = torch.tensor([float(keep), *map(float, slopes)], dtype=torch.float64)
    torch.testing.assert_close(kept(f, i, torch.float64), expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_two_gates_that_are_zero_as_numbers_still_share(dtype: torch.dtype) -> None:
    both = kept(-2000.0, -2000.0, dtype)
    torch.testing.assert_close(both, torch.tensor([0.5, 0.25, -0.25], dtype=dtype))
    assert kept(-2000.0, -2048.0, dtype)[0] == 1
    assert kept(2000.0, -2000.0, dtype).isfinite().all()


# -- no recurrent product -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "gates"), [(MinGRU, 2), (MinLSTM, 3)])
def test_there_are_weights_for_the_input_alone(make: Any, gates: int) -> None:
    layer = make(7, 5, 2, bidirectional=True)
    names = [f"{name}_l{at}{side}" for at in (0, 1) for side in ("", "_reverse") for name in ("weight_ih", "bias_ih")]
    assert list(layer.state_dict()) == names
    of_one = [
        gates * 5 * (size_in + 1) for size_in in (7, 10)
    ]  # the paper counts gates H I for one layer, without biases
    assert sum(p.numel() for p in layer.parameters()) == 2 * sum(of_one)
    assert list(make(7, 5, bias=False).state_dict()) == ["weight_ih_l0"]


@BOTH
def test_what_acts_on_a_recurrent_product_is_refused_and_the_rest_is_not(make: Any) -> None:
    for rates in (0.2, (0.0, 0.2, 0.0)):
        with pytest.raises(CellError, match=r"variational_dropout .* Set its recurrent rate to 0, or use another cell"):
            make(3, 4, variational_dropout=rates)
    with pytest.raises(CellError, match=r"weight_dropout needs .* Leave weight_dropout out, or use another cell"):
        make(3, 4, weight_dropout=0.1)
    layer = make(3, 4, 2, variational_dropout=(0.2, 0.0, 0.2), weight_dropout=0.0, zoneout=0.1)
    assert layer(torch.randn(5, 2, 3))[0].shape == (5, 2, 4)


@BOTH
def test_forget_bias_and_chrono_set_the_only_bias(make: Any) -> None:
    sign = -1 if make is MinGRU else 1
    assert (make(3, 4, forget_bias=1.5).bias_ih_l0[:4] == sign * 1.5).all()
    layer = make(3, 500, init="chrono(100)")
    gates = layer.bias_ih_l0.chunk(2 if make is MinGRU else 3)
    kept = sign * gates[0]
    assert 0 <= kept.min() < 1
    assert np.log(90) < kept.max().item() <= np.log(99)
    assert (gates[-1] == 0).all()
    if make is MinLSTM:
        assert torch.equal(gates[1], -gates[0])


def test_a_step_needs_no_product() -> None:
    x, s = Gates(z=torch.zeros(2, 3), h=torch.ones(2, 3)), State(h=torch.full((2, 3), 3.0))
    assert torch.equal(min_gru(x, s, None).h, torch.full((2, 3), 2.0))
    assert Recurrent(min_gru, 3, 4).cell.recurrent is False

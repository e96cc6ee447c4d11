"""Every cell with every option, in one and two directions, with lengths and without: what always holds."""

from __future__ import annotations

import copy
import io
import pickle
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import Recurrent, backend, chrono, noisy
from ostinato.cells import Cell
from ostinato.errors import CellError
from tests.cells import language
from tests.contracts.menu import CELLS, NOT_FOR, OPTIONS, PAIRS, REFUSED, STEP_PAIRS, cell_of, layer, step

STEPS, ROWS, INPUT, HIDDEN = 6, 4, 3, 6
LENGTHS = [4, 0, 6, 1]


def built(name: str, bidirectional: bool, **options: Any) -> Recurrent:
    torch.manual_seed(1)
    # An extra of the input's width has the same width in every layer only where there is one.
    layers = 1 if "I" in cell_of(name).extras.values() else 2
    made = layer(name, INPUT, HIDDEN, layers, bidirectional=bidirectional, dtype=torch.float64, **options)
    with torch.no_grad():  # what starts at zero or one would hide a parameter that is not used
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def batch() -> torch.Tensor:
    return torch.randn(STEPS, ROWS, INPUT, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def extras(made: Any) -> dict[str, torch.Tensor]:
    """What the cell has beside the input, of all time steps; the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return language.extras(made, STEPS, ROWS)


def tensors(result: Any) -> list[torch.Tensor]:
    """All tensors of what a layer gives back."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [v for part in (result.values() if isinstance(result, dict) else result) for v in tensors(part)]


def assert_close(got: Any, expected: Any) -> None:
    for one, two in zip(tensors(got), tensors(expected), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def holds(made: Recurrent, lengths: list[int] | None) -> None:
    """The contract."""
    x = batch().requires_grad_()
    in_training_every_gradient_is_there(made.train(), x, lengths)
    made.eval()
    evaluation_is_a_function(made, x, lengths)
    if lengths is not None:
        a_row_is_alone(made, x, lengths)
    elif not made.bidirectional:
        chunks_are_the_whole(made, x)


def in_training_every_gradient_is_there(made: Recurrent, x: torch.Tensor, lengths: list[int] | None) -> None:
    output, last = made(x, lengths=lengths, **extras(made))
    width = HIDDEN if not made.proj_size else made.proj_size
    assert output.shape == (STEPS, ROWS, width * made.num_directions)
    results = tensors((output, last))
    assert all(v.isfinite().all() and v.dtype == torch.float64 for v in results)
    torch.stack([(v + v.square()).sum() for v in results]).sum().backward()
    learned = [(name, parameter) for name, parameter in made.named_parameters() if parameter.requires_grad]
    unread = tuple(f"initial_{state}_l" for state in states_that_no_step_reads(made.base_cell))
    for name, parameter in [("input", x), *learned]:
        if unread and name.startswith(unread):
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@cache
def states_that_no_step_reads(cell: Cell) -> list[str]:
    """An output such as o c, on which nothing of the next step depends: where it begins, nothing can be learned."""
    made = Recurrent(cell, INPUT, HIDDEN, dtype=torch.float64, backend="reference")
    shapes = cell.state_shapes(HIDDEN, 0, INPUT)
    given = tuple(torch.rand(1, ROWS, *shape, dtype=torch.float64, requires_grad=True) for shape in shapes.values())
    result = made(batch()[:1], given if len(given) > 1 else given[0], **language.extras(made, 1, ROWS))
    gradients = torch.autograd.grad(sum(v.sum() for v in tensors(result)), given, allow_unused=True)
    return [name for name, gradient in zip(shapes, gradients, strict=True) if gradient is None]


def evaluation_is_a_function(made: Recurrent, x: torch.Tensor, lengths: list[int] | None) -> None:
    before, more = torch.get_rng_state(), extras(made)
    with torch.no_grad():
        one, two = made(x, lengths=lengths, **more), made(x, lengths=lengths, **more)
        every = made(x, lengths=lengths, return_states=True, **more)
    assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(two), strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert_close(every[:2], one)
    assert list(every[2]) == list(made.cell.states)


@torch.no_grad()
def a_row_is_alone(made: Recurrent, x: torch.Tensor, lengths: list[int]) -> None:
    beyond = torch.arange(STEPS)[:, None] >= torch.tensor(lengths)
    padded, more = x.detach().clone(), extras(made)
    for v in (padded, *more.values()):
        v[beyond] = float("nan")
    output, last = made(padded, lengths=lengths, **more)
    for b, length in enumerate(lengths):
        assert not output[length:, b].any()
        if length:
            alone, last_alone = made(x[:length, b : b + 1], **{name: v[:length, b : b + 1] for name, v in more.items()})
            assert_close(output[:length, b : b + 1], alone)
            assert_close([v[:, b : b + 1] for v in tensors(last)], last_alone)


@torch.no_grad()
def chunks_are_the_whole(made: Recurrent, x: torch.Tensor) -> None:
    more = extras(made)
    output, last = made(x, **more)
    chunks, state, at = [], None, 0
    for chunk in x.split([1, 3, 2]):
        seen, state = made(chunk, state, **{name: v[at : at + len(chunk)] for name, v in more.items()})
        at += len(chunk)
        chunks.append(seen)
    assert_close([torch.cat(chunks), state], [output, last])


@pytest.mark.cross
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_every_cell_with_every_option(name: str, option: str, bidirectional: bool, lengths: list[int] | None) -> None:
    holds(built(name, bidirectional, **OPTIONS[option]), lengths)


@st.composite
def anything(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A cell, and options in any combination that it can take."""
    name = draw(st.sampled_from(CELLS))
    rates = st.sampled_from([0.0, 0.2, 0.4])
    choices: dict[str, st.SearchStrategy[Any]] = {
        "zoneout": rates,
        "recurrent_dropout": rates,
        "variational_dropout": st.tuples(rates, rates, rates),
        "weight_dropout": rates,
        "dropout": rates,
        "layer_norm": st.booleans(),
        "peephole": st.just(True),
        "coupled_gates": st.just(True),
        "connection": st.sampled_from([None, "residual", "highway"]),
        "forget_bias": st.sampled_from([None, 1.0]),
        "init": st.sampled_from(["torch", "xavier", "he", "orthogonal"]),
        "initial_state": st.sampled_from(["zeros", "learned", noisy(0.2)]),
    }
    if name == "lstm":
        choices["proj_size"] = st.sampled_from([0, 3])
    wanted = draw(st.sets(st.sampled_from(sorted(choices.keys() - NOT_FOR[name]))))
    return name, {option: draw(choices[option]) for option in sorted(wanted)}


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    anything(),
    st.booleans(),
    st.none() | st.lists(st.integers(0, STEPS), min_size=ROWS, max_size=ROWS),
    st.sampled_from(["compiled", "reference"]),
)
def test_every_cell_with_options_in_any_combination(
    given: tuple[str, dict[str, Any]], bidirectional: bool, lengths: list[int] | None, by: str
) -> None:
    if lengths is not None:
        lengths = [STEPS, *lengths[1:]]  # someone must come to the end for every gradient to be there
    name, options = given
    with backend(by):
        holds(built(name, bidirectional, **options), lengths)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_a_layer_without_biases(name: str, lengths: list[int] | None) -> None:
    holds(built(name, False, bias=False, layer_norm=True), lengths)


@pytest.mark.parametrize(("name", "option"), REFUSED)
def test_an_option_that_a_cell_cannot_take_is_named_with_the_cell(name: str, option: str) -> None:
    with pytest.raises(CellError, match=rf"{option}.* needs a cell with .*'{name}'.*another cell$") as caught:
        layer(name, INPUT, HIDDEN, **OPTIONS[option])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "option"), STEP_PAIRS)
def test_a_single_step_is_a_step_of_the_layer(name: str, option: str) -> None:
    a_single_step_is_a_step_of_the_layer(name, **OPTIONS[option])


def a_single_step_is_a_step_of_the_layer(name: str, **options: Any) -> None:
    torch.manual_seed(1)
    whole = layer(name, INPUT, HIDDEN, dtype=torch.float64, **options).eval()
    single = step(name, INPUT, HIDDEN, dtype=torch.float64, **options)
    single.load_state_dict({key.removesuffix("_l0"): v for key, v in whole.state_dict().items()})
    x, state, more = batch(), None, extras(whole)
    with torch.no_grad():
        output, last = whole(x, **more)
        single.eval()
        for at in range(STEPS):
            state = single(x[at], state, **{name: v[at] for name, v in more.items()})
            assert_close(tensors(state)[0], output[at])
    assert_close([v[None] for v in tensors(state)], last)
    # In training both draw the same masks for the same seed, as they draw them in the same order.
    kept = copy.deepcopy(single).train()
    torch.manual_seed(5)
    last = whole.train()(x[:1], **{name: v[:1] for name, v in more.items()})[1]
    torch.manual_seed(5)
    state = kept(x[0].requires_grad_(), **{name: v[0] for name, v in more.items()})
    assert_close([v[None] for v in tensors(state)], last)
    torch.stack([v.square().sum() for v in tensors(state)]).sum().backward()
    learned = [p for p in kept.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learned)


# -- a layer is a thing that can be kept --------------------------------------------------------------------------------------


def everything(name: str) -> dict[str, Any]:
    """All options that the cell can take, at once."""
    refused = NOT_FOR[name] | ({"init"} if "chrono" in NOT_FOR[name] else set())
    options: dict[str, Any] = {
        "zoneout": 0.2,
        "recurrent_dropout": 0.2,
        "variational_dropout": 0.2,
        "weight_dropout": 0.2,
        "layer_norm": True,
        "peephole": True,
        "coupled_gates": True,
        "connection": "highway",
        "forget_bias": 1.0,
        "init": chrono(20),
        "initial_state": "learned",
    }
    return {option: v for option, v in options.items() if option not in refused}


def through_torch(made: Recurrent) -> Recurrent:
    buffer = io.BytesIO()
    torch.save(made, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


KEPT = {"deepcopy": copy.deepcopy, "pickle": lambda made: pickle.loads(pickle.dumps(made)), "torch.save": through_torch}


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("name", CELLS)
def test_a_layer_with_every_option_is_the_same_after_it_was_kept(name: str, keep: str) -> None:
    a_layer_is_the_same_after_it_was_kept(name, keep)


def a_layer_is_the_same_after_it_was_kept(name: str, keep: str) -> None:
    made = built(name, True, **everything(name))
    again = KEPT[keep](made)
    assert repr(again) == repr(made)
    assert again.options == made.options
    assert list(again.state_dict()) == list(made.state_dict())
    for training in (True, False):
        results = []
        for each in (made, again):
            torch.manual_seed(4)
            each.train(training)
            assert each.cell.options == made.cell.options
            results.append(each(batch(), lengths=LENGTHS, **extras(each)))
        assert all(torch.equal(a, b) for a, b in zip(tensors(results[0]), tensors(results[1]), strict=True))
    with torch.no_grad():
        again.get_parameter("weight_ih_l0").zero_()
    assert made.get_parameter("weight_ih_l0").any()

"""Every gradient of every cell with every option, against finite differences; and the second derivatives of the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from ostinato import Recurrent
from tests.contracts.menu import CELLS, NOT_FOR, OPTIONS, PAIRS, layer


def function_of_everything(made: Recurrent) -> tuple[Callable[..., Any], tuple[torch.Tensor, ...]]:
    """Output and last states as a function of input, first states and all parameters, with the same masks at every call."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    names = [name for name, _ in made.named_parameters()]
    parameters = [0.6 * draw(*p.shape) for p in made.parameters()]
    learned = made.options.initial_state.learned
    places = made.num_layers * made.num_directions
    sizes = made.cell.state_sizes(made.hidden_sizes[0], made.proj_size, made.input_size).values()
    first = [] if learned else [0.5 * draw(places, 2, size) for size in sizes]
    inputs = tuple(v.requires_grad_() for v in (draw(2, 2, made.input_size), *first, *parameters))

    def run(x: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        hx: Any = rest[: len(first)] if len(first) > 1 else (rest[0] if first else None)
        torch.manual_seed(11)
        values = dict(zip(names, rest[len(first) :], strict=True))
        output, last = functional_call(made, values, (x, hx))
        return (output, *(last if isinstance(last, tuple) else (last,)))

    return run, inputs


def combined(name: str, *options: str) -> dict[str, Any]:
    """Several options at once, without those that the cell cannot take."""
    return {k: v for option in options if option not in NOT_FOR[name] for k, v in OPTIONS[option].items()}


# Gradients do not depend on how the parameters were filled.
ACTING = [(n, o) for n, o in PAIRS if o not in ("forget_bias", "xavier", "orthogonal", "chrono", "noisy")]


@pytest.mark.cross
@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize(("name", "option"), ACTING)
def test_gradients_in_training(name: str, option: str) -> None:
    layers = 2 if option in ("residual", "highway") else 1
    made = layer(name, 1 if layers == 1 else 2, 2, layers, dtype=torch.float64, **OPTIONS[option])
    run, inputs = function_of_everything(made)
    assert gradcheck(run, inputs)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_zoneout_s_mean_in_evaluation(name: str) -> None:
    made = layer(name, 2, 2, dtype=torch.float64, zoneout=0.3).eval()
    run, inputs = function_of_everything(made)
    assert gradcheck(run, inputs)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_through_a_projection(bidirectional: bool) -> None:
    made = layer("lstm", 2, 3, proj_size=2, bidirectional=bidirectional, dtype=torch.float64)
    run, inputs = function_of_everything(made)
    assert gradcheck(run, inputs)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_all_options_at_once(name: str) -> None:
    options = combined(name, *OPTIONS)
    del options["initial_state"]
    made = layer(name, 2, 2, 2, bidirectional=True, dtype=torch.float64, **options)
    run, inputs = function_of_everything(made)
    assert gradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives_of_the_reference(name: str) -> None:
    run, inputs = function_of_everything(layer(name, 2, 2, dtype=torch.float64, backend="reference"))
    assert gradgradcheck(run, inputs)


@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives_with_every_option_of_the_step(name: str) -> None:
    options = combined(
        name, "zoneout", "recurrent_dropout", "variational_dropout", "layer_norm", "peephole", "coupled_gates"
    )
    run, inputs = function_of_everything(layer(name, 2, 2, dtype=torch.float64, **options))
    assert gradgradcheck(run, inputs, fast_mode=True)

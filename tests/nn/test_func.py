"""torch.func differentiates and maps every layer on its compiled cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

import ostinato
from tests.contracts.menu import CELLS, OPTIONS, STEP_PAIRS, layer, step
from tests.support import assert_same, tensors

# Every cell without options, and every option that changes what a call computes with one cell that takes it.
ACTING = OPTIONS.keys() - {"plain", "forget_bias", "xavier", "orthogonal", "chrono"}
MENU = [*((name, "plain") for name in CELLS), *(("lstm", option) for option in OPTIONS if option in ACTING)]
# torch's forward derivatives are made with what it advises against.
TORCH_ITSELF = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
DOUBLE: dict[str, Any] = {"dtype": torch.float64, "backend": "compiled"}


def made(name: str, option: str = "plain", **named: Any) -> Any:
    """Without what is drawn at random."""
    return layer(name, 3, 4, 2, bidirectional=True, **OPTIONS[option], **DOUBLE, **named).eval()


def squares(module: torch.nn.Module, **named: Any) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    def loss(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        found = tensors(functional_call(module, dict(parameters), (x,), named))
        return torch.stack([v.square().sum() for v in found.values()]).sum()

    return loss


def inputs(*more: int) -> Tensor:
    return torch.randn(*more, 5, 2, 3, dtype=torch.float64)


def assert_close(got: Any, expected: Any, tolerance: float = 1e-11) -> None:
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "option"), MENU)
def test_gradients_of_each_example_are_those_one_by_one(name: str, option: str) -> None:
    module, xs = made(name, option), inputs(3)
    parameters = dict(module.named_parameters())
    loss = squares(module, lengths=[5, 3])
    got = vmap(grad(loss), in_dims=(None, 0))(parameters, xs)
    for n, x in enumerate(xs):
        expected = torch.autograd.grad(loss(parameters, x), list(parameters.values()), materialize_grads=True)
        assert_close([v[n] for v in got.values()], list(expected))


@pytest.mark.parametrize("name", CELLS)
def test_an_ensemble_runs_at_once(name: str) -> None:
    modules, x = [made(name) for _ in range(3)], inputs()
    parameters, _ = stack_module_state(modules)
    loss = squares(modules[0])
    assert_close(vmap(loss, in_dims=(0, None))(parameters, x), torch.stack([squares(m)({}, x) for m in modules]))
    got = vmap(grad(loss), in_dims=(0, None))(parameters, x)
    for n, module in enumerate(modules):
        assert_close(
            [v[n] for v in got.values()], list(torch.autograd.grad(squares(module)({}, x), list(module.parameters())))
        )


def test_rows_and_their_lengths_are_mapped_in_any_dimension_and_twice() -> None:
    module = made("gru_reset_before")
    xs, lengths = inputs(2, 3), torch.tensor([[[5, 0], [1, 4], [2, 2]], [[0, 0], [5, 5], [3, 1]]])
    expected = torch.stack(
        [module(x, lengths=n)[0] for x, n in zip(xs.flatten(0, 1), lengths.flatten(0, 1), strict=True)]
    )

    def run(x: Tensor, n: Tensor) -> Tensor:
        return module(x, lengths=n)[0]

    assert_close(vmap(vmap(run))(xs, lengths).flatten(0, 1), expected)
    moved = vmap(vmap(run, in_dims=(2, 1), out_dims=1), in_dims=(4, 0), out_dims=0)(
        xs.permute(2, 3, 1, 4, 0), lengths.mT
    )
    assert_close(moved.transpose(1, 2).flatten(0, 1), expected)


@pytest.mark.parametrize(("name", "option"), STEP_PAIRS[::5])
def test_single_steps_are_mapped(name: str, option: str) -> None:
    module = step(name, 3, 4, **OPTIONS[option], dtype=torch.float64).eval()
    xs = torch.randn(3, 2, 3, dtype=torch.float64)
    got, each = tensors(vmap(module)(xs)), [tensors(module(x)) for x in xs]
    assert_same(got, {key: torch.stack([one[key] for one in each]) for key in got}, atol=1e-12)


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout", "variational_dropout", "weight_dropout"])
def test_each_example_has_masks_of_its_own_where_that_is_asked_for(option: str) -> None:
    module = made("lstm", option).train()
    xs = inputs().expand(2, -1, -1, -1)
    same, different = (vmap(lambda x: module(x)[0], randomness=how)(xs) for how in ("same", "different"))
    assert_close(same[0], same[1])
    assert not torch.allclose(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(module)(xs)


DERIVATIVES: dict[str, Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Any]]] = {
    "grad": grad,
    "vjp": lambda f: lambda x: vjp(f, x)[1](torch.ones((), dtype=x.dtype)),
    "jacrev": jacrev,
    "jacfwd": jacfwd,
    "jvp": lambda f: lambda x: jvp(f, (x,), (x.cos(),)),
    "hessian": hessian,
    "jacrev of grad": lambda f: jacrev(grad(f)),
    "jacrev of jacrev": lambda f: jacrev(jacrev(f)),
    "vjp of grad": lambda f: lambda x: vjp(grad(f), x)[1](x.cos()),
    "jvp of grad": lambda f: lambda x: jvp(grad(f), (x,), (x.cos(),)),
    "grad of jvp": lambda f: grad(lambda x: jvp(f, (x,), (x.cos(),))[1]),
    "grad of grad": lambda f: grad(lambda x: grad(f)(x).square().sum()),
    "mapped grad of grad": lambda f: vmap(grad(lambda x: grad(f)(x).square().sum())),
}


@TORCH_ITSELF
@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_derivatives_are_those_of_the_reference(name: str, derivative: str) -> None:
    module = layer(name, 2, 3, layer_norm=True, dtype=torch.float64)
    mapped = derivative.startswith("mapped")
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64) if mapped else torch.randn(3, 2, 2, dtype=torch.float64)
    derived = DERIVATIVES[derivative](lambda x: module(x, lengths=[3, 2])[0].square().sum())
    got = derived(x)
    with ostinato.backend("reference"):
        expected = derived(x)
    assert_close(got, expected)


@TORCH_ITSELF
@pytest.mark.parametrize(("name", "runs"), [("lstm", "reference"), ("gru", "vendor"), ("rhn_2", "reference")])
def test_forward_derivatives_are_left_to_those_who_have_them_and_explain_says_so(name: str, runs: str) -> None:
    module, x = layer(name, 3, 4), torch.randn(5, 2, 3)
    said: list[ostinato.nn.Explanation] = []

    def run(x: Tensor) -> Tensor:
        said.append(ostinato.explain(module, x))
        return module(x)[0]

    grad(lambda x: run(x).sum())(x)
    jvp(run, (x,), (x,))
    assert [each.backends for each in said] == [{"compiled"}, {runs}]
    assert "not compiled: its gradients are taken backward, not forward (torch.func.jvp)" in str(said[1])


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_segments_of_a_sequence_are_differentiated_as_the_whole(backend: str) -> None:
    whole, x = layer("gru", 3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    cut = layer("gru", 3, 4, dtype=torch.float64, checkpoint_segments=2)
    cut.load_state_dict(whole.state_dict())

    def found(module: Any) -> list[Tensor]:
        def loss(x: Tensor) -> Tensor:
            return module(x)[0].square().sum()

        return [grad(loss)(x), hessian(loss)(x), vmap(grad(loss))(x.unsqueeze(0))]

    with ostinato.backend(backend):
        torch.testing.assert_close(found(cut), found(whole))


def test_many_gradients_of_one_output_are_taken_at_once() -> None:
    module, x = made("lstm", "layer_norm"), inputs().requires_grad_()
    leaves = [x, *module.parameters()]
    output = module(x)[0]
    cotangents = torch.randn(3, *output.shape, dtype=x.dtype)
    got = torch.autograd.grad(output, leaves, cotangents, is_grads_batched=True, retain_graph=True)
    for n, cotangent in enumerate(cotangents):
        assert_close([v[n] for v in got], list(torch.autograd.grad(output, leaves, cotangent, retain_graph=True)))

    def loss(x: Tensor) -> Tensor:
        return module(x)[0].square().sum()

    small = x.detach()[:2]
    assert_close(
        torch.autograd.functional.hessian(loss, small, vectorize=True), torch.autograd.functional.hessian(loss, small)
    )


@pytest.mark.parametrize("option", ["plain", "zoneout", "layer_norm", "learned"])
def test_gradients_are_right_and_twice_differentiable(option: str) -> None:
    module = layer("lstm", 2, 3, bidirectional=True, **OPTIONS[option], **DOUBLE).eval()
    parameters = {name: p.detach().requires_grad_() for name, p in module.named_parameters()}
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(parameters, values, strict=True))
        return functional_call(module, given, (x,), {"lengths": [3, 2]})[0]

    assert torch.autograd.gradcheck(run, (x, *parameters.values()))
    assert torch.autograd.gradgradcheck(lambda x: run(x, *parameters.values()), (x,))


def test_no_grad_inside_of_a_transformation_stops_all_gradients() -> None:
    module, x = made("lstm", "layer_norm"), inputs()

    def product(x: Tensor) -> Tensor:
        with torch.no_grad():
            output = module(x)[0]
        return output.sum() * x.sum()

    found = grad(product)(x)
    assert_close(found, module(x)[0].sum().detach().expand_as(x))
    assert not found.requires_grad


def test_without_gradients_there_is_no_graph() -> None:
    module, x = made("lstm", "layer_norm"), inputs()
    with torch.no_grad():
        assert not module(x)[0].requires_grad
    assert not functional_call(module, {n: p.detach() for n, p in module.named_parameters()}, (x,))[0].requires_grad
    module.requires_grad_(False)
    assert not vmap(lambda x: module(x)[0])(x[None]).requires_grad

"""What the operators do where they are mapped: the same as a loop, whatever is mapped, in whatever dimension."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ostinato.kernels.graphs import ops
from ostinato.kernels.graphs.operator_key import read
from tests.kernels.graphs.test_ops import LENGTHS, arguments, by_cell, differentiated, weighted


def one_by_one(what: str, given: Any, masks: Any, lengths: Any, in_dims: Any, size: int) -> list[Tensor]:
    """The same by a loop: outputs, then gradients of `given`."""
    found = []
    for n in range(size):

        def pick(v: Tensor | None, at: int | None, n: int = n) -> Any:
            return v if v is None or at is None else v.select(at, n)

        leaves = differentiated([pick(v, at) for v, at in zip(given, in_dims[0], strict=True)])
        mine = [pick(v, at) for v, at in zip(masks, in_dims[1], strict=True)]
        outputs = ops.recurrence(what, leaves, mine, pick(lengths, in_dims[2]))
        found.append([*outputs, *torch.autograd.grad(weighted(outputs), leaves)])
    return [torch.stack(each) for each in zip(*found, strict=True)]


def all_at_once(what: str, given: Any, masks: Any, lengths: Any, in_dims: Any) -> list[Tensor]:
    def run(given: list[Tensor], masks: list[Tensor], lengths: Tensor | None) -> list[Tensor]:
        def outputs(given: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            found = ops.recurrence(what, given, masks, lengths)
            return weighted(found), found

        gradients, found = torch.func.grad(outputs, has_aux=True)(given)
        return [*found, *gradients]

    return torch.func.vmap(run, in_dims=in_dims)(given, masks, lengths)


MAPPED = ("input", "weights", "first", "masks", "lengths")


@pytest.mark.parametrize("name", ["lstm", "reset_before"])
@pytest.mark.parametrize(
    "mapped", [*[(each,) for each in MAPPED], MAPPED, ("input", "first", "masks", "lengths")], ids=str
)
def test_vmap_is_a_loop(name: str, mapped: tuple[str, ...]) -> None:
    drawn = [arguments(name, lengths=lengths, seed=seed) for seed, lengths in enumerate(([5, 0, 3, 2], [1, 5, 0, 4]))]
    what, given, masks, lengths = drawn[0]
    states = len(read(what).cell.states)
    groups = ["input", *["weights"] * (len(given) - 1 - states), *["first"] * states]
    # Not always the first dimension.
    at_given = [min(1, v.dim() - 1) if group in mapped else None for v, group in zip(given, groups, strict=True)]
    at_masks = [2 if "masks" in mapped else None for _ in masks]
    at_lengths = 1 if "lengths" in mapped else None

    def stacked(parts: list[Any], at: int | None) -> Any:
        return parts[0] if at is None else torch.stack(parts, at)

    given = [stacked([d[1][k] for d in drawn], at) for k, at in enumerate(at_given)]
    masks = [stacked([d[2][k] for d in drawn], at) for k, at in enumerate(at_masks)]
    lengths = stacked([d[3] for d in drawn], at_lengths)
    in_dims = (at_given, at_masks, at_lengths)
    got = all_at_once(what, given, masks, lengths, in_dims)
    torch.testing.assert_close(got, one_by_one(what, given, masks, lengths, in_dims, 2), rtol=1e-12, atol=1e-12)


@by_cell
@pytest.mark.parametrize("wanted", ["input", "all"])
def test_many_gradients_at_once_are_those_one_by_one(name: str, wanted: str) -> None:
    what, given, masks, lengths = arguments(name, lengths=LENGTHS)
    given = differentiated(given)
    leaves = given if wanted == "all" else [given[0], given[-1]]
    outputs, back = torch.func.vjp(
        lambda *leaves: ops.recurrence(
            what, list(leaves) if wanted == "all" else [leaves[0], *given[1:-1], leaves[1]], masks, lengths
        ),
        *leaves,
    )
    cotangents = [torch.randn(3, *v.shape, dtype=v.dtype) for v in outputs]
    got = torch.func.vmap(lambda each: back(each))(cotangents)
    expected = [back([v[n] for v in cotangents]) for n in range(3)]
    for at, gradient in enumerate(got):
        torch.testing.assert_close(gradient, torch.stack([e[at] for e in expected]), rtol=1e-12, atol=1e-12)
